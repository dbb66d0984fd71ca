import NIOCore

/// One deadline of one connection.
///
/// Deadlines change with every request and almost never pass, so moving one back only stores it: the scheduled task
/// finds it when it fires and waits on. An ordinary connection schedules one task per keep-alive time.
final class ConnectionTimer {
    private let eventLoop: any EventLoop
    private let action: () -> Void
    private var deadline: NIODeadline?
    private var scheduled: (task: Scheduled<Void>, at: NIODeadline)?

    /// `action` runs on `eventLoop` when the deadline has passed. The timer keeps it, so it must not own the timer.
    init(on eventLoop: any EventLoop, action: @escaping () -> Void) {
        self.eventLoop = eventLoop
        self.action = action
    }

    /// Sets, moves or, with `nil`, removes the deadline.
    func expect(_ deadline: NIODeadline?) {
        self.deadline = deadline
        guard let deadline else { return }
        if let scheduled {
            guard deadline < scheduled.at else { return }
            scheduled.task.cancel()
        }
        schedule(at: deadline)
    }

    /// Frees what the event loop holds.
    func stop() {
        deadline = nil
        scheduled?.task.cancel()
        scheduled = nil
    }

    private func schedule(at deadline: NIODeadline) {
        let task = eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { [weak self] in
            guard let self else { return }
            self.fire()
        }
        scheduled = (task, deadline)
    }

    private func fire() {
        scheduled = nil
        guard let deadline else { return }
        guard deadline <= .now() else { return schedule(at: deadline) }
        self.deadline = nil
        action()
    }
}

@available(*, unavailable)
extension ConnectionTimer: Sendable {}
