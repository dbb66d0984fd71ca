import Synchronization

/// Room in a journal that is promised to somebody, until it is released or goes out of use.
package final class JournalReservation: Sendable {
    private let journal: JournalBooks
    private let held: Mutex<Int>

    init(_ journal: JournalBooks, _ count: Int) {
        self.journal = journal
        held = Mutex(count)
    }

    deinit { release() }

    /// How many bytes are promised now.
    package var bytes: Int { held.withLock { $0 } }

    /// Asks for more room; false leaves the reservation as it was.
    package func grow(to payload: Int) -> Bool {
        let wanted = JournalEntry.size(of: payload)
        return held.withLock { held in
            guard wanted > held else { return true }
            guard journal.reserve(wanted - held) else { return false }
            held = wanted
            return true
        }
    }

    /// Gives the room back. Idempotent.
    package func release() {
        let count = held.withLock { held in
            defer { held = 0 }
            return held
        }
        if count > 0 { journal.release(count) }
    }
}
