/// What the event loop asks of the curl thread.
enum CurlCommand: Sendable {
    case submit(UpstreamTransfer)
    /// Closes the connection at once, if the transfer is still open.
    case cancel(UpstreamTransfer)
    /// The answer may go on.
    case resume(UpstreamTransfer)
    /// The request's body may go on.
    case feed(UpstreamTransfer)
}

/// Commands on their way to the curl thread, and whether it has to be woken for them.
struct Mailbox {
    enum Posting: Equatable {
        case queued
        /// The thread sleeps, and nobody has woken it yet.
        case wake
        /// The thread has ended: nothing is taken any more.
        case refused
    }

    /// What the curl thread may do when it has nothing left to do.
    enum Rest: Equatable { case sleep, stayAwake }

    private var commands: [CurlCommand] = []
    private var isAsleep = false
    private var isStopping = false
    private var isClosed = false

    mutating func post(_ command: CurlCommand) -> Posting {
        guard !isClosed else { return .refused }
        commands.append(command)
        return wake()
    }

    mutating func stop() -> Posting {
        isStopping = true
        return wake()
    }

    /// All commands since the last call, and whether the thread is to end after them. When it is, nothing can be posted
    /// any more.
    mutating func take(into taken: inout [CurlCommand]) -> Bool {
        swap(&commands, &taken)
        if isStopping { isClosed = true }
        return isStopping
    }

    mutating func rest() -> Rest {
        guard commands.isEmpty, !isStopping else { return .stayAwake }
        isAsleep = true
        return .sleep
    }

    private mutating func wake() -> Posting {
        guard isAsleep else { return .queued }
        isAsleep = false
        return .wake
    }

    /// The thread is up again by itself.
    mutating func wokeUp() { isAsleep = false }
}
