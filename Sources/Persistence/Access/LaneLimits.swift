/// How much a lane does at once, and how much may wait for it.
public struct LaneLimits: Sendable {
    /// Items in one transaction.
    public var batchItems = 256
    /// Bytes in one transaction; a single item that is bigger goes alone.
    public var batchBytes = 4 << 20
    /// Items that wait; beyond: `overloaded`.
    public var queuedItems = 8_192
    /// Bytes that wait; beyond: `overloaded`.
    public var queuedBytes = 128 << 20
    /// From how many waiting items on they are done in several transactions at once, where the database can do that:
    /// fewer are done sooner, and at far less cost, in one.
    public var splitItems = 16
    /// Threads at most; a database has as many as connections that can write at once, or fewer.
    public var threads = Int.max
    /// How long the first item of a batch may wait for company. Zero for what somebody waits for: batches then appear
    /// by themselves, because items gather while the previous commit runs. Log rows can wait, and cost less so.
    public var linger: Duration = .zero

    /// The limits for turns.
    public init() {}

    /// The limits for log rows, of which the last `linger` may be lost when the process is killed.
    public static var log: LaneLimits {
        var limits = LaneLimits()
        limits.linger = .milliseconds(200)
        limits.batchItems = 1_024
        limits.threads = 1
        limits.queuedItems = 65_536
        limits.queuedBytes = 64 << 20
        return limits
    }
}

/// What goes through a `TransactionLane`.
public protocol LaneItem: Sendable {
    /// Items with the same key are applied in the order in which they came, one transaction after the other.
    var shardKey: UInt64 { get }
    /// About how many bytes it writes.
    var byteCount: Int { get }
}

extension UniqueID {
    /// A shard key: the random half.
    public var shardKey: UInt64 { low }
}
