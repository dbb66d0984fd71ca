public import Logging
package import NIOCore
public import Persistence
import Synchronization

/// One request of a client and everything until the last byte of its answer.
///
/// The server makes it when the head has arrived and finishes it exactly once. Middlewares find the request's id, logger,
/// clocks and flags here, leave typed values for each other, and register what is to happen at the end.
/// An exchange outlives `handle`: its body may stream long after the chain has returned.
public final class Exchange: Sendable {
    /// Unique and ordered by time; the key of the exchange's activity row.
    public let id: UniqueID
    /// What the client is told as `x-turnpike-request-id` and what every log line carries.
    public let requestID: String
    /// The head as it arrived, before any middleware touched it.
    public let head: RequestHead
    public let clock: GatewayClock
    /// When the head was complete: monotonic nanoseconds and wall-clock microseconds.
    public let startedNanoseconds: UInt64
    public let startedMicroseconds: Int64
    /// The client's address as the socket says (never taken from a header), such as `127.0.0.1`.
    public let peerAddress: String

    /// All of the exchange's work happens on this loop, and nothing may block it.
    package let eventLoop: any EventLoop
    /// What all exchanges may hold in memory together; `nil` bounds nothing.
    package let budget: BufferBudget?
    private let baseLogger: Logger
    private let flags: any FlagEvaluator
    private let state = Mutex(State())

    fileprivate struct State {
        /// Each value is an `ExchangeValue` of its key's type.
        var values: [(key: ObjectIdentifier, value: any AnyObject & Sendable)] = []
        var facts = ActivityFacts()
        var finishers: [Finisher] = []
        var logger: Logger?
        /// Set once, when the exchange is over.
        var outcome: Outcome?
    }

    /// What is told of the end.
    fileprivate enum Finisher {
        case action(@Sendable (Outcome) -> Void)
        case observer(any ExchangeObserver)
    }

    package init(
        id: UniqueID = .generate(), head: RequestHead, eventLoop: any EventLoop, clock: GatewayClock = .system,
        logger: Logger, flags: any FlagEvaluator = NoFlags(), peerAddress: String = "", budget: BufferBudget? = nil
    ) {
        self.id = id
        self.requestID = id.description(prefix: "req_")
        self.head = head
        self.clock = clock
        self.startedNanoseconds = clock.monotonicNanoseconds()
        self.startedMicroseconds = clock.wallMicroseconds()
        self.peerAddress = peerAddress
        self.eventLoop = eventLoop
        self.budget = budget
        self.baseLogger = logger
        self.flags = flags
    }

    /// A logger whose lines carry the request id. Made for the first who asks: most exchanges log nothing.
    public var logger: Logger {
        state.withLock { state in
            if let logger = state.logger { return logger }
            var logger = baseLogger
            logger[metadataKey: "request_id"] = .string(requestID)
            state.logger = logger
            return logger
        }
    }

    /// The value that some middleware left under `key`.
    @inlinable public subscript<Key: ExchangeKey>(key: Key.Type) -> Key.Value? {
        get {
            // A key always has values of one type, and a cast from `any` costs as much as all the rest here.
            box(for: ObjectIdentifier(key)).map { unsafeDowncast($0, to: ExchangeValue<Key.Value>.self).value }
        }
        set { setBox(newValue.map { ExchangeValue($0) }, for: ObjectIdentifier(key)) }
    }

    /// Whether some middleware left a value under `key`: less than taking it, where it is large.
    public func has<Key: ExchangeKey>(_ key: Key.Type) -> Bool { box(for: ObjectIdentifier(key)) != nil }

    @usableFromInline func box(for key: ObjectIdentifier) -> (any AnyObject & Sendable)? {
        state.withLock { state in
            // By index: an element that is looked at elsewhere has its reference counted.
            for index in state.values.indices where state.values[index].key == key { return state.values[index].value }
            return nil
        }
    }

    @usableFromInline func setBox(_ value: (any AnyObject & Sendable)?, for key: ObjectIdentifier) {
        // The old value goes out of the lock: what its deinit does may come back here.
        _ = state.withLock { $0.replace(key, with: value) }
    }

    /// What the steps of the chain have learned so far, for the activity row.
    public var facts: ActivityFacts { state.withLock { $0.facts } }

    /// One of the facts: less than taking all of them. `read` must not ask the exchange for anything.
    public func fact<Value>(_ read: (borrowing ActivityFacts) -> sending Value) -> Value {
        state.withLock { read($0.facts) }
    }

    /// `note` for a change that asks the exchange for nothing, not even for its facts: in place, where `note` moves them
    /// out and back.
    package func noteInPlace(_ change: (inout ActivityFacts) -> Void) { state.withLock { change(&$0.facts) } }

    /// Adds to what is known. For the exchange's own steps, which run one after the other. `change` may ask the exchange
    /// for anything but its facts, which it has in hand.
    public func note(_ change: (inout ActivityFacts) -> Void) {
        // Outside the lock, because `change` may ask the exchange for something; and moved, because a copy of all facts
        // counts the references of each.
        var facts = state.withLock { state in
            var taken = ActivityFacts()
            swap(&taken, &state.facts)
            return taken
        }
        change(&facts)
        state.withLock { swap(&facts, &$0.facts) }
    }

    /// Whether the feature flag `name` is on for this exchange's user, key and model. A flag that the configuration
    /// does not name is on.
    public func isOn(_ name: String) -> Bool { flags.isOn(name, in: self) }

    /// The flags that are on for this exchange, as they are recorded in its activity row.
    public var flagsInEffect: [String] { flags.inEffect(for: self) }

    /// Registers what runs once when the exchange is over, whatever its end: completed, refused, failed, abandoned.
    ///
    /// Actions run last added first, on the event loop, and must not block: enqueue, and let `run()` do the writing.
    /// An action that is registered after the end (by a step that had not noticed that the client was gone) runs at once.
    public func onFinish(_ action: @escaping @Sendable (Outcome) -> Void) { add(.action(action)) }

    /// Registers what is told of the chain's answer and, in the order of ``onFinish(_:)``, of the end.
    package func observe(with observer: any ExchangeObserver) { add(.observer(observer)) }

    private func add(_ finisher: Finisher) {
        let outcome = state.withLock { state in
            guard state.outcome == nil else { return state.outcome }
            if state.finishers.isEmpty { state.finishers.reserveCapacity(4) }
            state.finishers.append(finisher)
            return nil
        }
        if let outcome { run(finisher, outcome) }
    }

    private func run(_ finisher: Finisher, _ outcome: Outcome) {
        switch finisher {
        case .action(let action): action(outcome)
        case .observer(let observer): observer.ended(self, outcome)
        }
    }

    /// Shows the observers what the chain has answered.
    package func show(_ response: inout Response) {
        for case .observer(let observer) in state.withLock({ $0.finishers }).reversed() {
            observer.answered(self, with: &response)
        }
    }

    /// Runs the finishers. Later calls do nothing.
    package func finish(_ outcome: Outcome) {
        for finisher in state.withLock({ $0.finish(outcome) }).reversed() { run(finisher, outcome) }
    }
}

/// A value that was left in an exchange, so that it is found by its key and taken without a cast.
@usableFromInline final class ExchangeValue<Value: Sendable>: Sendable {
    @usableFromInline let value: Value
    @inlinable init(_ value: Value) { self.value = value }
}

extension Exchange.State {
    fileprivate mutating func replace(
        _ key: ObjectIdentifier, with value: (any AnyObject & Sendable)?
    ) -> (any AnyObject & Sendable)? {
        let index = values.firstIndex { $0.key == key }
        switch (index, value) {
        case (let index?, let value?):
            let old = values[index].value
            values[index].value = value
            return old
        case (let index?, nil): return values.remove(at: index).value
        case (nil, let value?):
            if values.isEmpty { values.reserveCapacity(8) }
            values.append((key, value))
            return nil
        case (nil, nil): return nil
        }
    }

    /// Takes the finishers out, since they often hold the exchange itself; none the second time.
    fileprivate mutating func finish(_ outcome: Outcome) -> [Exchange.Finisher] {
        guard self.outcome == nil else { return [] }
        self.outcome = outcome
        defer { finishers = [] }
        return finishers
    }
}

/// Answers whether a flag is on. The configuration's implementation lives in the runtime.
package protocol FlagEvaluator: Sendable {
    func isOn(_ name: String, in exchange: Exchange) -> Bool
    func inEffect(for exchange: Exchange) -> [String]
}

/// Everything is on: for exchanges without a configuration, as in tests.
package struct NoFlags: FlagEvaluator {
    package init() {}
    package func isOn(_ name: String, in exchange: Exchange) -> Bool { true }
    package func inEffect(for exchange: Exchange) -> [String] { [] }
}
