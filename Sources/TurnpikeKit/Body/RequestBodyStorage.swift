import NIOCore
import Synchronization

/// What the copies of one ``RequestBody`` share: how far its reading is, and what was made of it.
final class RequestBodyStorage: Sendable {
    /// unread → reading → collected; unread → taken. A body in memory begins as collected.
    enum State {
        case unread(any BodySource)
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
        let box = derivedValues.withLock { values in values.first { $0.type == wanted }?.value }
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

    func takeContent() throws(GatewayError) -> RequestBody.Content {
        let before = state.withLock { state in
            let before = state
            if case .unread = before { state = .taken }
            return before
        }
        switch before {
        case .unread(let source): return .stream(source, length: declaredLength)
        case .collected(let result): return .bytes(try result.get())
        case .reading: throw .internalError("a request body was forwarded while it was being collected")
        case .taken: throw .internalError("a request body was forwarded twice as a stream")
        }
    }

    private func collected(upTo limit: Int) async -> Result<ByteBuffer, GatewayError> {
        let before = state.withLock { state in
            let before = state
            if case .unread = before { state = .reading([]) }
            return before
        }
        switch before {
        case .unread(let source): return await read(source, upTo: limit)
        case .reading: return await reading()
        case .collected(let result): return result
        case .taken: return .failure(.internalError("a request body was collected after it was forwarded as a stream"))
        }
    }

    private func read(_ source: any BodySource, upTo limit: Int) async -> Result<ByteBuffer, GatewayError> {
        let collector = BodyCollector(source, limit: limit, tooLarge: GatewayError.bodyTooLarge(limit:)) {
            [reservation] count in
            do throws(GatewayError) {
                try reservation.take(count)
                return nil
            } catch {
                return error
            }
        }
        let result = await collector.collect()
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
                case .unread, .taken: preconditionFailure("A body that is being read becomes neither unread nor taken.")
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
