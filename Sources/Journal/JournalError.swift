/// Why a journal could not do what it was asked. It names files and numbers, never contents.
package struct JournalError: Error, Sendable, Equatable {
    package enum Failure: String, Sendable {
        /// No room: the journal's own bound, or the disk's.
        case full
        /// One record is larger than the journal may ever be.
        case tooLarge
        /// The disk failed; what was being written is not there.
        case io
        /// A record is not what was written: reading it again changes nothing.
        case damaged
        /// Another process has the directory.
        case owned
        /// It was made by a newer release, or the directory cannot be used.
        case unusable
        case closed
    }

    package let failure: Failure
    package let reason: String
    /// The system's number, or 0.
    package let code: Int32

    static func directoryIsGone(_ directory: String) -> JournalError {
        JournalError(.unusable, "\(directory): was removed or replaced while it was in use")
    }

    package init(_ failure: Failure, _ reason: String, code: Int32 = 0) {
        self.failure = failure
        self.reason = reason
        self.code = code
    }
}

extension JournalError: CustomStringConvertible {
    package var description: String { code == 0 ? reason : "\(reason) (\(code))" }
}
