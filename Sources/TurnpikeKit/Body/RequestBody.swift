public import NIOCore
import Synchronization

/// A request's body: bytes that are there, or a stream from the client that nobody has asked for yet.
///
/// A streamed body is read from the socket when the first of `collect` or `takeSource` is called, never before, so a
/// client that is refused by its head costs no memory. Copies of the value share one reading.
public struct RequestBody: Sendable {
    private let storage: Storage

    /// No body at all.
    public static let empty = RequestBody(ByteBuffer())

    /// A body that is already in memory.
    public init(_ bytes: ByteBuffer) {
        storage = Storage(.bytes(bytes), declaredLength: bytes.readableBytes, budget: nil)
    }

    /// A body that is yet to arrive. `declaredLength` is its Content-Length, if it has one; `budget` bounds what
    /// `collect` keeps, together with all other bodies.
    package init(source: any BodySource, declaredLength: Int?, budget: BufferBudget? = nil) {
        storage = Storage(.unread(source), declaredLength: declaredLength, budget: budget)
    }

    /// The number of bytes, where it is known before reading.
    public var declaredLength: Int? { storage.declaredLength }

    /// The whole body, read once and shared by all who ask.
    ///
    /// Throws a ``GatewayError``: 413 above `limit` bytes, 503 when all bodies together take too much, or that the
    /// client left. A precondition failure if the body was taken as a stream before.
    public func collect(upTo limit: Int) async throws -> ByteBuffer { try await storage.collect(upTo: limit) }

    /// A value derived from the collected bytes, made once per body: `make` runs for the first who asks.
    ///
    /// Middlewares use it to scan a body once for all of them.
    public func derived<Value: Sendable>(upTo limit: Int, _ make: (ByteBuffer) throws -> Value) async throws -> Value {
        if let known = storage.derived(Value.self) { return known }
        let value = try make(try await collect(upTo: limit))
        storage.remember(value)
        return value
    }

    /// The body for somebody who forwards it: in memory if it was collected, else the stream itself.
    package func takeContent() -> Content { storage.takeContent() }

    /// A body as it is handed to an upstream.
    package enum Content: Sendable {
        case bytes(ByteBuffer)
        case stream(any BodySource, length: Int?)
    }
}

extension RequestBody {
    fileprivate final class Storage: Sendable {
        enum State {
            case bytes(ByteBuffer)
            case unread(any BodySource)
            case reading([CheckedContinuation<ByteBuffer, any Error>])
            case failed(GatewayError)
            case taken
        }

        let declaredLength: Int?
        private let budget: BufferBudget?
        private let reserved = Atomic<Int>(0)
        private let state: Mutex<State>
        private let derivedValue = Mutex<(any Sendable)?>(nil)

        init(_ state: consuming State, declaredLength: Int?, budget: BufferBudget?) {
            self.state = Mutex(state)
            self.declaredLength = declaredLength
            self.budget = budget
        }

        deinit { budget?.release(reserved.load(ordering: .relaxed)) }

        func derived<Value: Sendable>(_ type: Value.Type) -> Value? { derivedValue.withLock { $0 as? Value } }
        func remember(_ value: some Sendable) { derivedValue.withLock { $0 = value } }

        func collect(upTo limit: Int) async throws -> ByteBuffer {
            if let declaredLength, declaredLength > limit { throw GatewayError.bodyTooLarge(limit: limit) }
            switch claim() {
            case .bytes(let bytes):
                guard bytes.readableBytes <= limit else { throw GatewayError.bodyTooLarge(limit: limit) }
                return bytes
            case .failed(let error): throw error
            case .unread(let source): return try await read(source, upTo: limit)
            case .reading: return try await wait()
            case .taken: preconditionFailure("A request body was collected after it had been taken as a stream.")
            }
        }

        /// The state as it was; an unread body becomes one that is being read by the caller.
        private func claim() -> State {
            state.withLock { state in
                let before = state
                if case .unread = before { state = .reading([]) }
                return before
            }
        }

        private func read(_ source: any BodySource, upTo limit: Int) async throws -> ByteBuffer {
            let collector = BodyCollector(source, limit: limit, tooLarge: .bodyTooLarge(limit: limit)) { [self] count in
                if let refusal = budget?.reserve(count) { return refusal }
                reserved.wrappingAdd(count, ordering: .relaxed)
                return nil
            }
            do {
                let bytes = try await collector.collect()
                settle(.bytes(bytes))
                return bytes
            } catch {
                let failure = error as? GatewayError ?? .internalError("\(error)")
                settle(.failed(failure))
                throw failure
            }
        }

        private func settle(_ end: State) {
            let waiters = state.withLock { state in
                defer { state = end }
                if case .reading(let waiters) = state { return waiters }
                return []
            }
            for waiter in waiters {
                switch end {
                case .bytes(let bytes): waiter.resume(returning: bytes)
                case .failed(let error): waiter.resume(throwing: error)
                case .unread, .reading, .taken: preconditionFailure("A body settles as bytes or as a failure.")
                }
            }
        }

        private func wait() async throws -> ByteBuffer {
            try await withCheckedThrowingContinuation { continuation in
                let settled = state.withLock { state -> Result<ByteBuffer, any Error>? in
                    switch state {
                    case .bytes(let bytes): return .success(bytes)
                    case .failed(let error): return .failure(error)
                    case .reading(let waiters):
                        state = .reading(waiters + [continuation])
                        return nil
                    case .unread, .taken: preconditionFailure("A body that is being read cannot become unread.")
                    }
                }
                if let settled { continuation.resume(with: settled) }
            }
        }

        func takeContent() -> Content {
            state.withLock { state in
                switch state {
                case .bytes(let bytes): return .bytes(bytes)
                case .unread(let source):
                    state = .taken
                    return .stream(source, length: declaredLength)
                case .reading, .failed, .taken:
                    preconditionFailure("A request body can be forwarded once it is whole, or before anyone reads it.")
                }
            }
        }
    }
}
