package import Journal
package import Persistence

/// What a spool's directory holds, for the operator: read from the disk, whoever owns it, and nothing changed.
package struct SpoolListing: Sendable {
    /// A turn that waits.
    package struct Waiting: Sendable {
        package let sequence: UInt64
        package let time: Timestamp
        package let bytes: Int
        /// Nil where this release cannot read it.
        package let turn: TurnDraft?
    }

    /// A turn that was refused for good.
    package struct SetAside: Sendable {
        /// The file's name in the directory `dead`.
        package let name: String
        package let time: Timestamp
        package let reason: String
        /// Nil where this release cannot read it.
        package let turn: TurnDraft?
    }

    package let turns: [Waiting]
    package let setAside: [SetAside]
    /// Names of files with bytes that could not be read.
    package let damagedPieces: [String]

    /// That of a directory which no process has made yet.
    package init() { (turns, setAside, damagedPieces) = ([], [], []) }

    /// - Throws: `JournalError` if there is no such directory.
    package init(directory: String, on disk: any JournalFiles = PosixFiles()) throws {
        let contents = try JournalContents(JournalConfiguration(directory: directory, maxBytes: .max), disk)
        var turns: [Waiting] = []
        for entry in contents.entries {
            // Its owner may have drained it meanwhile.
            guard let payload = try? contents.payload(entry) else { continue }
            turns.append(
                Waiting(
                    sequence: entry.sequence, time: entry.time, bytes: entry.length,
                    turn: try? TurnCoding.decode(payload)))
        }
        self.turns = turns
        setAside = try contents.deadLetters().map { letter in
            SetAside(
                name: letter.name, time: letter.time, reason: letter.reason,
                turn: try? TurnCoding.decode(letter.payload))
        }
        damagedPieces = try contents.damagedPieces()
    }
}
