/// Decides when an answer's bytes are taken from the connection and when they have to wait.
///
/// Two things stop them: a reader that paused, and bytes that were taken but have not reached the reader yet, because
/// its event loop is busy or nobody has started the body. So one answer never holds more than `window` bytes plus what
/// one burst of reads brings, whatever the upstream sends.
struct FlowControl {
    /// Bytes on their way to the reader from which on nothing more is taken.
    static let window = 256 << 10

    enum Verdict: Equatable {
        case accept
        /// libcurl keeps the block and offers it again after a resume.
        case halt
    }

    enum Change: Equatable {
        case none
        /// The curl thread has to be asked to go on. Asked for once per halt.
        case resume
    }

    private var isPaused = false
    private var isHalted = false
    private var outstandingBytes = 0

    /// libcurl has `count` bytes. Accepted ones count until `delivered`.
    mutating func offered(_ count: Int) -> Verdict {
        guard !isPaused, outstandingBytes < FlowControl.window else {
            isHalted = true
            return .halt
        }
        outstandingBytes += count
        return .accept
    }

    /// Whether bytes may be read: for a client that decides before it reads.
    var mayTake: Bool { !isPaused && outstandingBytes < FlowControl.window }

    /// `count` bytes were read. They count until `delivered`.
    mutating func taken(_ count: Int) { outstandingBytes += count }

    /// `count` accepted bytes have reached the reader.
    mutating func delivered(_ count: Int) -> Change {
        outstandingBytes -= count
        return goOnIfPossible()
    }

    mutating func setPaused(_ isPaused: Bool) -> Change {
        self.isPaused = isPaused
        return goOnIfPossible()
    }

    private mutating func goOnIfPossible() -> Change {
        guard isHalted, !isPaused, outstandingBytes < FlowControl.window else { return .none }
        isHalted = false
        return .resume
    }
}
