import CCurl
import NIOCore
import TurnpikeKit

/// The curl thread's half of a transfer: the handle, what libcurl has reported in this tick, and the state machine.
final class CurlTransfer {
    let transfer: UpstreamTransfer
    let easy: EasyHandle
    unowned let driver: CurlDriver
    var machine: TransferStateMachine
    var parser = ResponseHeadParser()
    /// Why one of our callbacks stopped the transfer; libcurl only knows that it did.
    var refusal: GatewayError?
    /// Which directions wait, in libcurl's `CURLPAUSE_…` bits.
    private(set) var pausedDirections: Int32 = 0
    /// What goes to the event loop at the end of the tick.
    private var delivery: Delivery?

    init(_ transfer: UpstreamTransfer, easy: EasyHandle, driver: CurlDriver) {
        self.transfer = transfer
        self.easy = easy
        self.driver = driver
        machine = TransferStateMachine(
            limits: .init(transfer.request.connection), upload: transfer.request.body.upload,
            isIdempotent: transfer.request.isIdempotent, now: driver.now)
    }

    /// Prepares the handle; its callbacks hold this object unretained, so the driver keeps it while the handle runs.
    func configure() -> CURLcode {
        let refused = easy.configure(transfer.request)
        let context = Unmanaged.passUnretained(self).toOpaque()
        easy.set(CURLOPT_PRIVATE, pointer: context)
        installCallbacks(context)
        driver.installClose(on: easy)
        return refused
    }

    /// Changes what goes to the event loop at the end of this tick.
    func report(_ change: (inout Delivery) -> Void) {
        if delivery == nil {
            delivery = Delivery(to: transfer)
            driver.touched.append(self)
        }
        change(&delivery!)
    }

    func takeDelivery() -> Delivery? {
        defer { delivery = nil }
        return delivery
    }

    func pause(_ direction: Int32) { pausedDirections |= direction }

    /// Lets a direction go on. May call the write or the read callback before it returns, which may pause it again.
    func resume(_ direction: Int32) {
        guard pausedDirections & direction != 0 else { return }
        pausedDirections &= ~direction
        if direction == CURLPAUSE_RECV { machine.resumed(at: driver.now) }
        driver.touched.append(self)
        curl_easy_pause(easy.raw, pausedDirections)
    }

    /// How the transfer ended, by libcurl's result.
    func end(_ result: CURLcode) -> BodyEnd {
        if let refusal { return .failed(refusal) }
        if result == CURLE_OK {
            if machine.hasHead { return .complete }
            // libcurl takes a head that breaks off after its first line for an answer without a body.
            return .failed(.upstreamConnectionFailed("the answer's head is incomplete", retry: .unsafe))
        }
        let detail = Redaction.withoutUserInfo(easy.explanation(of: result), transfer.request)
        return .failed(UpstreamFailure.error(result, detail: detail, mayHaveBeenSeen: machine.mayHaveBeenSeen))
    }
}
