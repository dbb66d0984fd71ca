import CCurl
import Glibc
import TurnpikeKit

/// The curl thread: one multi handle, its sockets, its timer, and the transfers that are open.
///
/// `curl_multi_socket_action` with an epoll of our own; `curl_multi_perform` walks all transfers at every wake-up and
/// does not carry many streams. Nothing here is touched by another thread.
final class CurlDriver {
    /// Idle connections that are kept. Explicit, because libcurl's default follows the number of open transfers and so
    /// closes connections after every burst.
    static let maxIdleConnections = 1024
    /// Handles that are kept for the next requests.
    static let maxPooledHandles = 64
    /// Time-outs are looked at this often at most, in nanoseconds.
    static let sweepInterval: UInt64 = 5_000_000

    /// Monotonic nanoseconds, read once per tick.
    private(set) var now = GatewayClock.monotonicNow
    /// Transfers that something happened to in this tick; one may stand here more than once.
    var touched: [CurlTransfer] = []
    var sockets: SocketTable
    private let shard: CurlShard
    private let multi: UnsafeMutableRawPointer
    private var open: [ObjectIdentifier: CurlTransfer] = [:]
    private var pool: [EasyHandle] = []
    /// When libcurl wants to be called without an event.
    private var timerAt = UInt64.max
    /// No open transfer expires before.
    private var sweepAt = UInt64.max

    init(shard: CurlShard) {
        guard let multi = curl_multi_init() else { preconditionFailure("libcurl has no memory for a multi handle.") }
        self.shard = shard
        self.multi = multi
        self.sockets = SocketTable(poller: shard.poller)
        cc_multi_set_long(multi, CURLMOPT_MAXCONNECTS, CurlDriver.maxIdleConnections)
        cc_multi_set_long(multi, CURLMOPT_PIPELINING, 0)
    }

    /// Works until the shard is stopped.
    func run() {
        let context = Unmanaged.passUnretained(self).toOpaque()
        installCallbacks(on: multi, context)
        var commands: [CurlCommand] = []
        var isLast = false
        while !isLast {
            isLast = shard.take(into: &commands)
            for command in commands { execute(command) }
            commands.removeAll(keepingCapacity: true)
            runTimer()
            finishCompleted()
            if now >= sweepAt { sweep() }
            if isLast { failOpen() }
            flush()
            guard !isLast else { break }
            shard.wait(until: min(timerAt, sweepAt), now: now, woke: { now = GatewayClock.monotonicNow }) { handle($0) }
        }
        pool = []
        curl_multi_cleanup(multi)
    }

    private func execute(_ command: CurlCommand) {
        switch command {
        case .submit(let transfer): add(transfer)
        case .cancel(let transfer):
            if let running = open[ObjectIdentifier(transfer)] { remove(running) }
        case .resume(let transfer): open[ObjectIdentifier(transfer)]?.resume(CURLPAUSE_RECV)
        case .feed(let transfer): open[ObjectIdentifier(transfer)]?.resume(CURLPAUSE_SEND)
        }
    }

    private func add(_ transfer: UpstreamTransfer) {
        let running = CurlTransfer(transfer, easy: pool.popLast() ?? EasyHandle(), driver: self)
        let refused = running.configure()
        open[ObjectIdentifier(transfer)] = running
        guard refused == CURLE_OK, curl_multi_add_handle(multi, running.easy.raw) == CURLM_OK else {
            return finish(running, running.end(refused == CURLE_OK ? CURLE_FAILED_INIT : refused))
        }
        sweepAt = min(sweepAt, running.machine.deadline)
    }

    /// Closes the transfer's connection, unless its answer was complete, and keeps the handle.
    private func remove(_ running: CurlTransfer) {
        curl_multi_remove_handle(multi, running.easy.raw)
        running.machine.ended()
        running.easy.reset()
        if pool.count < CurlDriver.maxPooledHandles { pool.append(running.easy) }
        open[ObjectIdentifier(running.transfer)] = nil
    }

    private func finish(_ running: CurlTransfer, _ end: BodyEnd) {
        running.report { $0.end = end }
        remove(running)
    }

    private func handle(_ event: Poller.Event) {
        guard let action = sockets.action(for: event) else { return }
        var running: Int32 = 0
        curl_multi_socket_action(multi, event.descriptor, action, &running)
    }

    /// libcurl asks for the next call while it is called; a few rounds save a trip through epoll.
    private func runTimer() {
        var rounds = 0
        while timerAt <= now, rounds < 8 {
            timerAt = .max
            var running: Int32 = 0
            curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running)
            rounds += 1
        }
    }

    /// libcurl's timer callback: `milliseconds` from now, or never when negative.
    func setTimer(milliseconds: Int) {
        timerAt = milliseconds < 0 ? .max : now + UInt64(milliseconds) * 1_000_000
    }

    private func finishCompleted() {
        var result = CURLE_OK
        while let raw = cc_next_finished(multi, &result) {
            guard let context = cc_get_context(raw) else { continue }
            let running = Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue()
            finish(running, running.end(result))
        }
    }

    private func sweep() {
        var next = UInt64.max
        for running in Array(open.values) {
            if let expiry = running.machine.expiry(at: now) {
                finish(
                    running, .failed(UpstreamFailure.error(expiry, mayHaveBeenSeen: running.machine.mayHaveBeenSeen)))
            } else {
                next = min(next, running.machine.deadline)
            }
        }
        sweepAt = next == .max ? .max : max(next, now + CurlDriver.sweepInterval)
    }

    private func failOpen() {
        for running in Array(open.values) { finish(running, .failed(.serverShuttingDown)) }
    }

    /// Hands over what this tick produced.
    private func flush() {
        guard !touched.isEmpty else { return }
        var deliveries: [Delivery] = []
        deliveries.reserveCapacity(touched.count)
        for running in touched {
            sweepAt = min(sweepAt, running.machine.deadline)
            if let delivery = running.takeDelivery() { deliveries.append(delivery) }
        }
        touched.removeAll(keepingCapacity: true)
        if !deliveries.isEmpty { shard.deliver(deliveries) }
    }
}
