import Logging
import NIOCore
import NIOHTTP1
import TurnpikeKit

/// What all connections of a server share.
struct ServerContext: Sendable {
    let configuration: ServerConfiguration
    let handler: any ExchangeHandler
    let budget: BufferBudget
    let registry: ConnectionRegistry
    let logger: Logger
}

/// One connection: feeds the state machine with what the channel reports, and does what it decides.
///
/// A client that closes its sending half counts as gone: TCP cannot tell it from one that closed the connection, and
/// an answer that nobody reads costs money upstream. nginx and Envoy decide alike.
final class ConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = Never
    typealias OutboundOut = ByteBuffer

    let server: ServerContext
    let executor: LoopExecutor
    private(set) var context: ChannelHandlerContext?
    var machine: ConnectionStateMachine
    var writer = AnswerWriter()
    /// The exchange in progress. It and the connection know each other until it is over.
    private var exchange: ActiveExchange?
    private var timer: ConnectionTimer?
    private var timedProgress: (timeout: ConnectionStateMachine.Timeout?, count: UInt) = (nil, 0)
    /// Whether the channel asked to read and was not let.
    private var isReadHeld = false
    /// Whether an outer call performs actions now and will take what is held.
    private var isRunning = false
    private var isExcess = false
    /// Whether what the parser reads next is a head.
    private(set) var isHeadExpected = true
    /// How many heads the parser has read.
    private(set) var headCount = 0
    /// Whether the end of the loop's turn will send what was written.
    private var isFlushAwaited = false
    private lazy var peerAddress = context?.remoteAddress?.ipAddress ?? ""

    init(server: ServerContext, executor: LoopExecutor) {
        self.server = server
        self.executor = executor
        machine = ConnectionStateMachine(drainedBodyBytes: server.configuration.limits.drainedBodyBytes)
    }

    /// Whether the channel takes more bytes, and whether it is open: as it has told. Asking it costs more.
    private(set) var isWritable = true
    private var isActive = false

    // MARK: What the channel reports

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    /// Admission and the first time-out wait for this: a channel that is closed before it was active never tells that it
    /// became inactive, and would stay registered.
    func channelActive(context: ChannelHandlerContext) {
        isActive = true
        timer = ConnectionTimer(on: context.eventLoop) { [unowned self] in run(machine.timedOut()) }
        switch server.registry.admit(self, on: context.eventLoop) {
        case .served: break
        case .excess: isExcess = true
        case .refused: return context.close(promise: nil)
        }
        restartTimer()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        isWritable = false
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        machine.readBegins()
        switch unwrapInboundIn(data) {
        case .head(let head):
            isHeadExpected = false
            headCount += 1
            run(machine.received(.head(ArrivedHead(head))))
        case .body(let bytes): run(machine.received(.body(bytes)))
        case .end:
            isHeadExpected = true
            run(machine.received(.end))
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        machine.readCompleted()
        run(.nothing)
    }

    func read(context: ChannelHandlerContext) {
        if machine.wantsRead { context.read() } else { isReadHeld = true }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        isWritable = context.channel.isWritable
        machine.writabilityChanged(isWritable)
        exchange?.writabilityChanged(isWritable)
        run(.nothing)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        // A stream that ends within a request is a client that left; its close follows.
        case HTTPParserError.invalidEOFState: break
        case let error as HTTPParserError: run(machine.received(.unreadable(.unreadable(error))))
        // What follows a request that could not be read is dropped.
        case ByteToMessageDecoderError.dataReceivedInErrorState: break
        default: closeChannel()
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        isActive = false
        run(machine.channelClosed())
        timer?.stop()
        leaveRegistryIfOver()
    }

    // MARK: What the server tells

    func drain() { run(machine.drain()) }
    func abort() { run(machine.abort()) }
    func closeChannel() {
        flushNow()
        context?.close(promise: nil)
    }

    // MARK: Actions

    /// Performs an action and then everything that is held and can be handled now.
    ///
    /// An action may lead back here: an answer that is written at once makes way for the next request. The inner call
    /// returns and the outer one goes on, so a thousand pipelined requests do not become a thousand stack frames.
    func run(_ action: ConnectionStateMachine.Action) {
        guard !isRunning else { return perform(action) }
        isRunning = true
        perform(action)
        while let next = machine.takeHeld() { perform(next) }
        isRunning = false
        if isReadHeld, machine.wantsRead {
            isReadHeld = false
            context?.read()
        }
        restartTimer()
    }

    /// Hands over at once what was held back for the upload's consumer, also in the middle of an action: the consumer's
    /// first request for the body comes from within ``begin(_:)``, and must not leave the socket unread meanwhile.
    func takeHeld() {
        while let next = machine.takeHeld() { perform(next) }
        run(.nothing)
    }

    private func perform(_ action: ConnectionStateMachine.Action) {
        switch action {
        case .nothing: break
        case .begin(let head): begin(head)
        case .refuse(let error): answerDirectly(refusal(error), to: nil)
        case .deliver(let bytes): exchange?.upload.receive(bytes)
        case .deliverEnd: exchange?.upload.end()
        case .failUpload(let error): exchange?.upload.fail(error)
        case .sendContinue:
            writer.writeContinue()
            flushAnswer()
        case .abandonExchange: exchange?.clientLeft()
        case .abortExchange: exchange?.abort(.serverShuttingDown)
        case .close: closeChannel()
        case .linger: linger()
        }
    }

    private func begin(_ head: ArrivedHead) {
        if isExcess {
            server.handler.turnedAway(head.request, with: .tooManyConnections)
            return answerDirectly(refusal(.tooManyConnections), to: head, closes: true)
        }
        if let refusal = head.refusal { return answerDirectly(self.refusal(refusal), to: head) }
        if let preflight = server.configuration.cors?.preflight(head.request) {
            return answerDirectly(preflight, to: head)
        }
        if head.request.target == "*" {
            return answerDirectly(
                Response(status: .noContent, headers: ["Allow": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"]),
                to: head)
        }
        let exchange = server.handler.begin(head.request, peerAddress: peerAddress, on: executor.eventLoop)
        let active = ActiveExchange(exchange, head: head, on: self)
        self.exchange = active
        active.start()
    }

    /// The exchange has called its finishers and needs the connection no more.
    func exchangeIsOver() {
        exchange = nil
        leaveRegistryIfOver()
    }

    private func leaveRegistryIfOver() {
        guard exchange == nil, !isActive else { return }
        server.registry.remove(self)
    }

    /// Ends the outgoing stream and leaves the incoming one open for a moment.
    private func linger() {
        guard let context else { return }
        flushNow()
        let closed = context.eventLoop.makePromise(of: Void.self)
        closed.futureResult.assumeIsolated().whenFailure { [weak self] _ in self?.closeChannel() }
        context.close(mode: .output, promise: closed)
    }

    private func restartTimer() {
        let timeout = machine.timeout
        let progress = (timeout: timeout, count: machine.progress)
        guard progress != timedProgress else { return }
        timedProgress = progress
        timer?.expect(timeout.map { .now() + server.configuration.timeouts[$0] })
    }
}

extension ConnectionHandler: Flushing {
    /// Sends what was written at the end of the loop's turn; at once where it is so much that its source was paused, which
    /// it is to be for a slow client only.
    func flushSoon() {
        if !isFlushAwaited {
            isFlushAwaited = true
            executor.flushes.value.add(self)
        }
        if !isWritable { flushNow() }
    }

    /// Sends it now: at the end of the turn, or because the connection is about to be closed.
    func flushNow() {
        guard isFlushAwaited else { return }
        isFlushAwaited = false
        context?.flush()
    }
}

@available(*, unavailable)
extension ConnectionHandler: Sendable {}

extension ServerConfiguration.Timeouts {
    fileprivate subscript(timeout: ConnectionStateMachine.Timeout) -> TimeAmount {
        switch timeout {
        case .head: head
        case .body: body
        case .keepAlive: keepAlive
        case .write: write
        case .linger: linger
        }
    }
}
