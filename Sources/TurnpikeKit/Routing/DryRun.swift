public import NIOCore
import Synchronization

/// A request that goes through the whole chain and never upstream: the client wants to see what would be sent.
///
/// Whoever stores or counts something leaves it; the router answers with the request for the first target.
public final class DryRun: Sendable {
    private let notes = Mutex<[(name: String, json: ByteBuffer)]>([])

    public init() {}

    /// Adds to the answer: the JSON text of what a plugin has to say about the exchange.
    public func note(_ name: String, json: ByteBuffer) {
        notes.withLock { notes in
            notes.removeAll { $0.name == name }
            notes.append((name, json))
        }
    }

    /// What was added, in order.
    public var all: [(name: String, json: ByteBuffer)] { notes.withLock { $0 } }
}

/// Left by the dispatcher for a request that is not to go upstream.
public enum DryRunKey: ExchangeKey { public typealias Value = DryRun }
