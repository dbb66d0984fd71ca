import NIOCore
import NIOPosix
import TurnpikeKit

/// The upstream connections and transfers of one event loop. Lives on it.
final class PlainLoop {
    /// Idle connections that are kept, of all origins together.
    static let maxIdleConnections = 1024
    /// Bytes from which on a streamed request body waits for the socket.
    static let writeBufferBytes = 128 << 10

    let eventLoop: any EventLoop
    /// Nanoseconds after which an idle connection is closed.
    private let idleLimit: UInt64
    /// Where requests went before.
    var targets = PlainTargetCache()
    /// The writes of its connections.
    let flushes: LoopFlushes
    /// Memory of requests that are over.
    var heads = SpareBuffers()
    private var idle = IdleConnections<PlainConnection>()
    private var open: [PlainTransfer] = []
    private var isStopped = false
    private var sweep: (task: Scheduled<Void>, at: UInt64)?

    init(on eventLoop: any EventLoop, idleLimit: UInt64) {
        self.eventLoop = eventLoop
        flushes = LoopFlushes(eventLoop)
        self.idleLimit = idleLimit
    }

    // MARK: Transfers

    /// Sends a request over a connection that is free, or a new one.
    func submit(_ transfer: PlainTransfer) {
        transfer.slot = open.count
        open.append(transfer)
        guard !isStopped else { return transfer.fail(.serverShuttingDown) }
        expect(transfer.deadline)
        while let connection = idle.take(transfer.request.target.origin) {
            if !connection.isClosed { return transfer.connected(connection) }
        }
        connect(transfer)
    }

    /// Whether the transfer was open.
    func remove(_ transfer: PlainTransfer) -> Bool {
        guard isOpen(transfer) else { return false }
        let last = open.removeLast()
        if last !== transfer {
            last.slot = transfer.slot
            open[last.slot] = last
        }
        return true
    }

    private func isOpen(_ transfer: PlainTransfer) -> Bool {
        transfer.slot < open.count && open[transfer.slot] === transfer
    }

    // MARK: Connections

    func connect(_ transfer: PlainTransfer) {
        let origin = transfer.request.target.origin
        let bound = NIOLoopBound((loop: self, transfer: transfer), eventLoop: eventLoop)
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(.nanoseconds(Int64(clamping: transfer.request.connectTimeout)))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelOption(
                .writeBufferWaterMark,
                value: .init(low: PlainLoop.writeBufferBytes / 2, high: PlainLoop.writeBufferBytes)
            )
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(PlainConnection(to: origin, on: bound.value.loop))
                }
            }
        PlainLoop.open(bootstrap, origin).assumeIsolated().whenComplete { result in
            bound.value.loop.connected(bound.value.transfer, result)
        }
    }

    /// Addresses are used at once; names are looked up on a thread of SwiftNIO's, never on the loop's.
    private static func open(_ bootstrap: ClientBootstrap, _ origin: PlainTarget.Origin) -> EventLoopFuture<any Channel>
    {
        if let address = try? SocketAddress(ipAddress: origin.host, port: origin.port) {
            return bootstrap.connect(to: address)
        }
        return bootstrap.connect(host: origin.host, port: origin.port)
    }

    private func connected(_ transfer: PlainTransfer, _ result: Result<any Channel, any Error>) {
        switch result {
        case .success(let channel):
            guard isOpen(transfer),
                let connection = try? channel.pipeline.syncOperations.handler(type: PlainConnection.self)
            else { return channel.close(promise: nil) }
            transfer.connected(connection)
        case .failure(let error):
            guard isOpen(transfer) else { return }
            transfer.finish(.failed(UpstreamFailure.error(connecting: error)))
        }
    }

    /// Keeps a connection for the next request.
    func park(_ connection: PlainConnection) {
        guard !isStopped, idle.count < PlainLoop.maxIdleConnections else { return connection.close() }
        connection.idleSince = GatewayClock.monotonicNow
        idle.put(connection, connection.origin)
        expect(connection.idleSince &+ idleLimit)
    }

    /// The connection has ended.
    func forget(_ connection: PlainConnection) { idle.remove(connection, connection.origin) }

    // MARK: Time and the end

    /// Something expires at `deadline`, monotonic nanoseconds, if nothing happens before.
    func expect(_ deadline: UInt64) {
        guard deadline < sweep?.at ?? .max else { return }
        sweep?.task.cancel()
        let now = GatewayClock.monotonicNow
        let wait = deadline > now ? min(deadline - now, 3_600_000_000_000) : 0
        // At a few milliseconds' distance, so that many deadlines are one walk.
        let task = eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(Int64(wait) + 2_000_000)) { [weak self] in
            guard let self else { return }
            self.expireAll()
        }
        sweep = (task, deadline)
    }

    private func expireAll() {
        sweep = nil
        let now = GatewayClock.monotonicNow
        for transfer in open { transfer.expire(at: now) }
        for connection in idle.all where now >= connection.idleSince &+ idleLimit {
            idle.remove(connection, connection.origin)
            connection.close()
        }
        var next = UInt64.max
        for transfer in open { next = min(next, transfer.deadline) }
        for connection in idle.all { next = min(next, connection.idleSince &+ idleLimit) }
        expect(next)
    }

    /// Fails what is open and closes all connections; what comes later is refused.
    func stop() {
        isStopped = true
        for transfer in open { transfer.fail(.serverShuttingDown) }
        for connection in idle.all { connection.close() }
        idle = IdleConnections()
        sweep?.task.cancel()
        sweep = nil
    }
}

@available(*, unavailable)
extension PlainLoop: Sendable {}
