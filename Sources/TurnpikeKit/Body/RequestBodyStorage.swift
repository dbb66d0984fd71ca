import NIOCore
import Synchronization

/// What the copies of one ``RequestBody`` share: how far its reading is, and what was made of it.
final class RequestBodyStorage: Sendable {
    /// unread → begun → reading → collected; unread → taken. A body in memory begins as collected.
    enum State {
        case unread(any BodySource)
        /// Its source delivers, and nobody waits for the end.
        case begun(BodyCollector)
        case reading([CheckedContinuation<Result<ByteBuffer, GatewayError>, Never>])
        case collected(Result<ByteBuffer, GatewayError>)
        /// Forwarded as a stream.
        case taken
    }

    private let framedLength: Int?
    private let budget: BufferBudget?
    /// What was taken from `budget`: for as long as this object lives.
    private let reservation: BufferReservation
    private let state: Mutex<State>
    /// Each value is a `DerivedValue` of its type.
    private let derivedValues = Mutex<[(type: ObjectIdentifier, value: any AnyObject & Sendable)]>([])

    init(_ state: consuming State, declaredLength: Int?, budget: BufferBudget?) {
        self.state = Mutex(state)
        framedLength = declaredLength
        self.budget = budget
        reservation = BufferReservation(budget)
    }

    /// An empty body under the same bound, with room for `count` bytes taken before they are made.
    func successor(reserving count: Int) throws(GatewayError) -> RequestBodyStorage {
        let next = RequestBodyStorage(.collected(.success(ByteBuffer())), declaredLength: nil, budget: budget)
        try next.reservation.take(count)
        return next
    }

    /// Makes `bytes` the body of a successor, and gives back the room that they did not need.
    func settle(_ bytes: ByteBuffer) {
        reservation.shrink(to: bytes.readableBytes)
        state.withLock { $0 = .collected(.success(bytes)) }
    }

    /// The number of bytes, where it is known.
    var declaredLength: Int? {
        if let framedLength { return framedLength }
        return state.withLock { if case .collected(.success(let bytes)) = $0 { bytes.readableBytes } else { nil } }
    }

    func derived<Value: Sendable>(_ type: Value.Type) -> Value? {
        let wanted = ObjectIdentifier(type)
        let box = derivedValues.withLock { values -> (any AnyObject & Sendable)? in
            // By index: an element that is looked at elsewhere has its reference counted.
            for index in values.indices where values[index].type == wanted { return values[index].value }
            return nil
        }
        // Found by its type: a cast from `any` would look that type up again for every step that asks.
        return box.map { unsafeDowncast($0, to: DerivedValue<Value>.self).value }
    }

    func remember<Value: Sendable>(_ value: Value) {
        let box = DerivedValue(value)
        derivedValues.withLock { $0.append((ObjectIdentifier(Value.self), box)) }
    }

    func collect(upTo limit: Int) async throws(GatewayError) -> ByteBuffer {
        if let declaredLength, declaredLength > limit { throw .bodyTooLarge(limit: limit) }
        let bytes = try await collected(upTo: limit).get()
        guard bytes.readableBytes <= limit else { throw .bodyTooLarge(limit: limit) }
        return bytes
    }

    /// The whole body where nobody has to wait for it: it was collected before, or has come with its head. Else its reading
    /// has begun. Throws like `collect`.
    func collectAtOnce(upTo limit: Int) throws(GatewayError) -> ByteBuffer? {
        if let declaredLength, declaredLength > limit { throw .bodyTooLarge(limit: limit) }
        guard let bytes = try begin(upTo: limit)?.get() else { return nil }
        guard bytes.readableBytes <= limit else { throw .bodyTooLarge(limit: limit) }
        return bytes
    }

    func takeContent() throws(GatewayError) -> RequestBody.Content {
        let before = state.withLock { state in
            let before = state
            if case .unread = before { state = .taken }
            return before
        }
        switch before {
        case .unread(let source): return .stream(source, length: declaredLength)
        case .collected(let result): return .bytes(try result.get())
        case .begun, .reading: throw .internalError("a request body was forwarded while it was being collected")
        case .taken: throw .internalError("a request body was forwarded twice as a stream")
        }
    }

    /// Begins the reading if nobody has; the result, if it is there.
    private func begin(upTo limit: Int) -> Result<ByteBuffer, GatewayError>? {
        let begun = state.withLock { state in
            guard case .unread(let source) = state else { return nil as BodyCollector? }
            let collector = BodyCollector(
                source, limit: limit, tooLarge: GatewayError.bodyTooLarge(limit:), reservation)
            state = .begun(collector)
            return collector
        }
        // What is delivered at once is there before anyone waits.
        if let result = begun?.begin() { return settle(result) }
        return state.withLock { state in
            switch state {
            case .collected(let result): result
            case .taken:
                .failure(.internalError("a request body was collected after it was forwarded as a stream"))
            case .unread, .begun, .reading: nil
            }
        }
    }

    private func collected(upTo limit: Int) async -> Result<ByteBuffer, GatewayError> {
        if let result = begin(upTo: limit) { return result }
        let begun = state.withLock { state in
            guard case .begun(let collector) = state else { return nil as BodyCollector? }
            state = .reading([])
            return collector
        }
        guard let begun else { return await reading() }
        return settle(await begun.wait())
    }

    private func settle(_ result: Result<ByteBuffer, GatewayError>) -> Result<ByteBuffer, GatewayError> {
        if case .failure = result { reservation.release() }
        let waiters = state.withLock { state in
            defer { state = .collected(result) }
            if case .reading(let waiters) = state { return waiters }
            return []
        }
        for waiter in waiters { waiter.resume(returning: result) }
        return result
    }

    /// The result of the reading that another task is at.
    private func reading() async -> Result<ByteBuffer, GatewayError> {
        await withCheckedContinuation { continuation in
            let settled = state.withLock { state -> Result<ByteBuffer, GatewayError>? in
                switch state {
                case .collected(let result): return result
                case .reading(let waiters):
                    state = .reading(waiters + [continuation])
                    return nil
                case .unread, .begun, .taken:
                    preconditionFailure("A body that is being read becomes neither unread nor taken.")
                }
            }
            if let settled { continuation.resume(returning: settled) }
        }
    }
}

/// A value that was made of a body, so that it is found by its type and taken without a cast.
private final class DerivedValue<Value: Sendable>: Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}
