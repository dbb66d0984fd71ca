import Persistence

/// What this process has changed of sessions lately, and is changing: so that a reading which began before a change is not
/// kept, and that changes of others are known from its own. Times are of the cache's clock.
struct OwnChanges {
    /// How many sessions are remembered at least, the latest that changed: more than change while one exchange is under way,
    /// unless that is a long one beside many others. Then its premise is taken to hold.
    private static let remembered = 8_192

    private var newer: [SessionKey: SessionChanges] = [:]
    private var older: [SessionKey: SessionChanges] = [:]
    /// When the newer ones began.
    private var turned: UInt64 = 0
    /// What is not remembered did not change since.
    private(set) var forgotten: UInt64 = 0
    /// By when they began.
    private var underWay: [UInt64: Write] = [:]

    /// A transaction of the API, or of the purge, that is under way.
    private struct Write {
        let scope: WrittenScope
        var changes: [VersionChange] = []
    }

    /// When a session changed last.
    func last(_ key: SessionKey) -> UInt64 { (newer[key] ?? older[key])?.last ?? forgotten }

    mutating func change(_ key: SessionKey, at time: UInt64, _ body: (inout SessionChanges) -> Void = { _ in }) {
        if newer.count >= Self.remembered, newer[key] == nil {
            (older, newer, forgotten, turned) = (newer, [:], turned, time)
        }
        func change(_ changes: inout SessionChanges) {
            body(&changes)
            changes.last = time
        }
        change(&newer[key, default: older[key] ?? SessionChanges()])
    }

    // MARK: Transactions

    mutating func begin(_ scope: WrittenScope, at time: UInt64) { underWay[time] = Write(scope: scope) }

    /// - Parameter changes: of a transaction that is not committed yet. One that runs again says it anew.
    mutating func note(_ changes: [VersionChange], ofWrite start: UInt64) { underWay[start]?.changes = changes }

    /// - Returns: What it has changed.
    mutating func end(_ start: UInt64) -> [VersionChange] { underWay.removeValue(forKey: start)?.changes ?? [] }

    // MARK: Premises

    /// Whether a session is as an exchange took it to be, but for what this process has changed since.
    ///
    /// - Parameter found: the version that the database has; nil: it has no such session.
    func explain(_ premise: Premise, of key: SessionKey, _ found: Int64?) -> Bool {
        if forgotten > premise.since { return true }
        let known = newer[key] ?? older[key] ?? SessionChanges()
        let pending = underWay.values.lazy.flatMap(\.changes).filter { $0.key == key }
        guard let found else {
            return known.ended > premise.since || pending.contains(where: \.isGone) || isErasing(key.owner)
        }
        guard found > premise.version else { return false }
        if known.found > premise.since { return true }
        return (premise.version + 1...found).allSatisfy { version in
            known.made(version) || pending.contains { $0.made(version) }
        }
    }

    private func isErasing(_ owner: UniqueID) -> Bool {
        underWay.values.contains { $0.scope.parts.contains(.user(owner)) }
    }
}

/// What one transaction has done to a session that it found.
struct VersionChange: Sendable {
    let key: SessionKey
    let old: Int64
    let new: Int64
    /// Whether there is no such session any more.
    var isGone = false

    func made(_ version: Int64) -> Bool { old < version && version <= new }
}

/// What this process has changed of a session.
struct SessionChanges {
    /// Most gaps between versions that are remembered. What is older counts as that of others.
    private static let remembered = 16

    /// When it changed last.
    var last: UInt64 = 0
    /// When it was deleted.
    private(set) var ended: UInt64 = 0
    /// When a turn was found stored: which version it made is not known. Behind a lost answer nothing is believed for a
    /// while, so that concerns only what was under way.
    private(set) var found: UInt64 = 0
    /// The versions that it made: the newest without a gap, and those before.
    private var newest: Range<Int64> = 0..<0
    private var earlier = RangeSet<Int64>()

    func made(_ version: Int64) -> Bool { newest.contains(version) || earlier.contains(version) }

    mutating func note(_ version: Int64) {
        if version == newest.upperBound, !newest.isEmpty {
            newest = newest.lowerBound..<version + 1
        } else if version > newest.upperBound {
            earlier.insert(contentsOf: newest)
            newest = version..<version + 1
        } else if !newest.contains(version) {
            earlier.insert(contentsOf: version..<version + 1)
        }
        if earlier.ranges.count > Self.remembered, let oldest = earlier.ranges.first {
            earlier.remove(contentsOf: oldest)
        }
    }

    mutating func note(_ change: VersionChange, at time: UInt64) {
        if change.isGone { ended = time }
        // A transaction changes a session once or twice.
        for version in change.old..<max(change.new, change.old) { note(version + 1) }
    }

    mutating func noteFound(at time: UInt64) { found = time }
}
