import NIOCore

/// The tasks that carry the exchanges of one event loop, one exchange after the other. Lives on the loop.
///
/// To make a task and its memory for every exchange, and to give both back, is a twentieth of the work on a small one. So
/// a task whose exchange is over waits for the next one, unless it was cancelled.
final class ExchangeTasks {
    /// Tasks that wait, with some 15 KB each. What is beyond them ends with its exchange.
    private static let mostIdle = 64

    /// The one that was used last is used first: its memory is at hand.
    private var idle: [ExchangeTask] = []
    private var isOver = false

    /// Begins the work of `exchange`, up to where it waits for the first time. The task is to be cancelled only as long as
    /// the exchange is at work.
    func run(_ exchange: ActiveExchange, on executor: LoopExecutor) -> ExchangeTask {
        if let task = idle.popLast() {
            task.goOn(with: exchange)
            return task
        }
        let task = ExchangeTask(executor)
        task.start(with: exchange)
        return task
    }

    /// Takes a task whose exchange is over.
    fileprivate func keep(_ task: ExchangeTask) -> Bool {
        guard !isOver, idle.count < Self.mostIdle else { return false }
        idle.append(task)
        return true
    }

    /// Ends the tasks that wait, and from now on every one after its exchange.
    func end() {
        isOver = true
        let ended = idle
        idle = []
        for task in ended { task.end() }
    }
}

/// One of them.
final class ExchangeTask {
    private let executor: LoopExecutor
    private var task: Task<Void, Never>?
    /// What comes next; the task takes it.
    private var next: ActiveExchange?
    /// Set while it waits. It is resumed once, by `goOn` or `end`, whichever takes it out.
    private var waiter: UnsafeContinuation<Void, Never>?

    fileprivate init(_ executor: LoopExecutor) { self.executor = executor }

    func cancel() { task?.cancel() }

    fileprivate func start(with exchange: ActiveExchange) {
        next = exchange
        let bound = NIOLoopBound(self, eventLoop: executor.eventLoop)
        task = Task.immediate(executorPreference: executor) {
            await TaskMemory.reserve()
            await bound.value.carry()
        }
    }

    fileprivate func goOn(with exchange: ActiveExchange) {
        next = exchange
        executor.runAtOnce { resume() }
    }

    fileprivate func end() { resume() }

    private func resume() {
        let waiter = waiter
        self.waiter = nil
        waiter?.resume()
    }

    private func carry() async {
        while next != nil {
            await takeNext()?.run()
            guard !Task.isCancelled else { return }
            await wait()
        }
    }

    /// Not kept by the task: an exchange that is over goes.
    private func takeNext() -> ActiveExchange? {
        defer { next = nil }
        return next
    }

    /// Until there is another exchange, or none will come.
    private func wait() async {
        await withUnsafeContinuation { waiter in
            self.waiter = waiter
            if !executor.tasks.value.keep(self) { resume() }
        }
    }
}

@available(*, unavailable)
extension ExchangeTasks: Sendable {}

@available(*, unavailable)
extension ExchangeTask: Sendable {}
