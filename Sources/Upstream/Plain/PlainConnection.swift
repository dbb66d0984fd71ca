import NIOCore
import TurnpikeKit

/// One connection to an upstream: writes requests, reads answers, one after the other. Lives on its channel's loop.
///
/// It always reads, also while it is idle: that is how a close by the upstream is noticed before the next request is
/// written. Only a reader that does not keep up stops it.
final class PlainConnection: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let origin: PlainTarget.Origin
    /// When it was parked, monotonic nanoseconds.
    var idleSince: UInt64 = 0
    private let loop: PlainLoop
    private var context: ChannelHandlerContext?
    private var transfer: PlainTransfer?
    private var decoder = ResponseDecoder(isHEAD: false)
    /// Whether an earlier request was answered on it.
    private(set) var isReused = false
    /// Whether any byte of the current answer has come.
    private var hasReceived = false
    /// What went wrong with the socket.
    private var failure: String?
    /// Whether it is closed, or about to be. Asking the channel costs a dozen times as much.
    private(set) var isClosed = false
    /// Whether the channel asked to read and was not let.
    private var isReadHeld = false
    /// Whether the end of the loop's turn will send what was written.
    private var isFlushAwaited = false

    init(to origin: PlainTarget.Origin, on loop: PlainLoop) {
        self.origin = origin
        self.loop = loop
    }

    /// Whether the channel takes more bytes, as it has told. Asking it costs more.
    private(set) var isWritable = true

    // MARK: What the transfer does

    /// Writes a request's head and what is there of its body. The transfer may have failed when this returns.
    func carry(_ transfer: PlainTransfer) {
        guard let context, !isClosed else {
            return transfer.connectionBroke("the connection is closed", mayRepeat: isReused)
        }
        self.transfer = transfer
        decoder = ResponseDecoder(isHEAD: transfer.request.isHEAD)
        hasReceived = false
        context.write(wrapOutboundOut(transfer.request.head), promise: nil)
        if let body = transfer.request.largeBody { context.write(wrapOutboundOut(body), promise: nil) }
        flushSoon()
    }

    /// Writes a piece of a streamed body.
    func send(_ pieces: ByteBuffer...) {
        guard let context else { return }
        for piece in pieces { context.write(wrapOutboundOut(piece), promise: nil) }
        flushSoon()
    }

    /// Nobody wants the answer: the connection is closed, and the transfer hears nothing of it.
    func abandon() {
        transfer = nil
        close()
    }

    func close() {
        isClosed = true
        context?.close(promise: nil)
    }

    /// Lets a read go on that was held for the reader's sake.
    func readOn() {
        guard isReadHeld, transfer?.mayRead != false else { return }
        isReadHeld = false
        transfer?.readsOn()
        context?.read()
    }

    // MARK: What the channel reports

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        isWritable = false
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // Bytes that nobody asked for would be taken for the next request's answer.
        guard let transfer else { return close() }
        hasReceived = true
        var input = unwrapInboundIn(data)
        while true {
            switch decoder.next(&input) {
            case .needsMore: return
            case .head(let head): transfer.arrived(head)
            case .bytes(let bytes): transfer.arrived(bytes)
            case .end: return answerEnded(hasExcess: input.readableBytes > 0)
            case .refuse(let error):
                abandon()
                return transfer.finish(.failed(error))
            }
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) { transfer?.deliver() }

    func read(context: ChannelHandlerContext) {
        if transfer?.mayRead == false {
            isReadHeld = true
            transfer?.readsNoMore()
        } else {
            context.read()
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        isWritable = context.channel.isWritable
        transfer?.writabilityChanged(isWritable)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        failure = String(describing: error)
        close()
    }

    func channelInactive(context: ChannelHandlerContext) {
        isClosed = true
        loop.forget(self)
        guard let transfer else { return }
        self.transfer = nil
        switch (decoder.connectionEnded(), failure) {
        case (.complete, nil): transfer.finish(.complete)
        case (.broken(let reason), nil): transfer.connectionBroke(reason, mayRepeat: isReused && !hasReceived)
        case (_, let failure?): transfer.connectionBroke(failure, mayRepeat: isReused && !hasReceived)
        }
    }

    /// The connection is free for the next request before the answer's receiver hears of the end.
    private func answerEnded(hasExcess: Bool) {
        guard let transfer else { return }
        self.transfer = nil
        if decoder.isPersistent, !hasExcess, transfer.isSent, hasWrittenAll(of: transfer) {
            isReused = true
            loop.park(self)
            readOn()
        } else {
            close()
        }
        transfer.finish(.complete)
    }

    /// An answer may come before the request is out; what is left of it would stand before the next one.
    private func hasWrittenAll(of transfer: PlainTransfer) -> Bool {
        guard !isFlushAwaited else { return false }
        guard transfer.mayBeInTransit, let options = context?.channel.syncOptions else { return true }
        return (try? options.getOption(.bufferedWritableBytes)) == 0
    }
}

extension PlainConnection: Flushing {
    /// At the end of the loop's turn; at once where it is so much that an upload's source was paused, which it is to be for
    /// a slow upstream only.
    private func flushSoon() {
        if !isFlushAwaited {
            isFlushAwaited = true
            loop.flushes.add(self)
        }
        if !isWritable { flushNow() }
    }

    func flushNow() {
        guard isFlushAwaited else { return }
        isFlushAwaited = false
        context?.flush()
    }
}

@available(*, unavailable)
extension PlainConnection: Sendable {}
