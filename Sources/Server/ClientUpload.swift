import NIOCore
import TurnpikeKit

/// A request's body on its way from the connection to whoever asked for it.
final class ClientUpload {
    private enum State {
        case unasked
        case flowing(any BodySink)
        case over
    }

    private var state = State.unasked
    private weak var connection: ConnectionHandler?
    private let declaredLength: Int?
    private let limit: Int
    /// Bytes handed over so far.
    private(set) var receivedBytes = 0

    init(of connection: ConnectionHandler, declaredLength: Int?, limit: Int) {
        self.connection = connection
        self.declaredLength = declaredLength
        self.limit = limit
    }

    // MARK: From the consumer

    /// Begins delivery; what has arrived with the head is delivered before this returns.
    func start(_ sink: any BodySink) {
        guard case .unasked = state, let connection else { return sink.end(.failed(.clientLeft)) }
        if let declaredLength, declaredLength > limit {
            state = .over
            connection.machine.uploadGivenUp()
            return sink.end(.failed(.bodyTooLarge(limit: limit)))
        }
        state = .flowing(sink)
        connection.run(connection.machine.uploadAsked())
        connection.takeHeld()
    }

    func setPaused(_ isPaused: Bool) {
        guard let connection else { return }
        connection.machine.uploadPaused(isPaused)
        connection.takeHeld()
    }

    func cancel() {
        state = .over
        connection?.machine.uploadGivenUp()
        connection?.run(.nothing)
    }

    // MARK: From the connection

    func receive(_ bytes: ByteBuffer) {
        guard case .flowing(let sink) = state else { return }
        receivedBytes += bytes.readableBytes
        guard receivedBytes <= limit else {
            connection?.machine.uploadGivenUp()
            return fail(.bodyTooLarge(limit: limit))
        }
        sink.receive(bytes)
    }

    func end() { finish(.complete) }

    func fail(_ error: GatewayError) { finish(.failed(error)) }

    /// The exchange is over: nobody listens any more, and the connection goes its own way.
    func detach() {
        connection = nil
        fail(.clientLeft)
    }

    private func finish(_ end: BodyEnd) {
        guard case .flowing(let sink) = state else {
            if connection == nil { state = .over }
            return
        }
        state = .over
        sink.end(end)
    }
}

@available(*, unavailable)
extension ClientUpload: Sendable {}

/// The upload as the chain holds it: it may carry it anywhere, but uses it on the connection's loop.
final class ClientBody: BodySource {
    private let upload: NIOLoopBound<ClientUpload>

    init(_ upload: ClientUpload, on eventLoop: any EventLoop) {
        self.upload = NIOLoopBound(upload, eventLoop: eventLoop)
    }

    func start(_ sink: any BodySink) { upload.value.start(sink) }
    func setPaused(_ isPaused: Bool) { upload.value.setPaused(isPaused) }
    func cancel() { upload.value.cancel() }
}
