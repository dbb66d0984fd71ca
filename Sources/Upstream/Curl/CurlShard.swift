import NIOCore
import Synchronization
import TurnpikeKit

/// One event loop and the curl thread that works for it.
///
/// More curl threads than loops bring nothing, and a shared one becomes the bottleneck (both measured), so it is one
/// to one. This half is what the event loop sees; `CurlDriver` is what runs on the thread.
final class CurlShard: Sendable {
    let eventLoop: any EventLoop
    private let mailbox = Mutex(Mailbox())
    let poller: Poller
    private let thread: CurlThread

    /// Starts the thread. Throws a `SystemError` when the machine has no more threads or descriptors.
    init(eventLoop: any EventLoop, name: String) throws {
        self.eventLoop = eventLoop
        self.poller = try Poller()
        self.thread = CurlThread()
        try thread.start(name: name) { [self] in CurlDriver(shard: self).run() }
    }

    /// Hands a command to the curl thread. From any thread; never blocks.
    func post(_ command: CurlCommand) {
        switch mailbox.withLock({ $0.post(command) }) {
        case .queued: break
        case .wake: poller.wake()
        case .refused: if case .submit(let transfer) = command { transfer.fail(.serverShuttingDown) }
        }
    }

    /// Runs `action` on the event loop, at once if the caller is there already.
    func onLoop(_ action: @escaping @Sendable () -> Void) {
        if eventLoop.inEventLoop { action() } else { eventLoop.execute(action) }
    }

    /// Asks the thread to fail what is open and to end. Does not wait.
    func stop() {
        if mailbox.withLock({ $0.stop() }) == .wake { poller.wake() }
    }

    /// Waits until the thread has ended, after a `stop`.
    func stopped() async { await thread.ended() }

    // MARK: The curl thread

    /// See `Mailbox.take`.
    func take(into taken: inout [CurlCommand]) -> Bool { mailbox.withLock { $0.take(into: &taken) } }

    /// Waits for sockets or commands, at most until `deadline` (monotonic nanoseconds; `UInt64.max` is never); then
    /// calls `woke`, and `body` for every event.
    func wait(until deadline: UInt64, now: UInt64, woke: () -> Void, _ body: (Poller.Event) -> Void) {
        let maySleep = deadline > now && mailbox.withLock { $0.rest() } == .sleep
        let wokeUp = {
            if maySleep { self.mailbox.withLock { $0.wokeUp() } }
            woke()
        }
        poller.wait(until: maySleep ? deadline : now, now: now, woke: wokeUp, body)
    }

    /// Delivers what a tick produced: one hop for all of it.
    func deliver(_ deliveries: [Delivery]) {
        eventLoop.execute {
            for delivery in deliveries { delivery.transfer.deliver(delivery) }
        }
    }
}
