public import NIOCore
public import OpenAIWire

/// A request's body: bytes that are there, or a stream from the client that nobody has asked for yet.
///
/// A streamed body is read from the socket when the first of `collect` or `takeContent` is called, never before, so a
/// client that is refused by its head costs no memory. Copies of the value share one reading.
public struct RequestBody: Sendable {
    private let storage: RequestBodyStorage

    /// No body at all.
    public static let empty = RequestBody(ByteBuffer())

    /// A body that is already in memory.
    public init(_ bytes: ByteBuffer) {
        storage = RequestBodyStorage(.collected(.success(bytes)), declaredLength: bytes.readableBytes, budget: nil)
    }

    /// A body that is yet to arrive. `declaredLength` is its Content-Length, if it has one; `budget` bounds what
    /// `collect` keeps, together with all other bodies, until the last copy of the value is gone.
    package init(source: any BodySource, declaredLength: Int?, budget: BufferBudget? = nil) {
        storage = RequestBodyStorage(.unread(source), declaredLength: declaredLength, budget: budget)
    }

    /// The number of bytes, where it is known before reading.
    public var declaredLength: Int? { storage.declaredLength }

    /// The whole body, read once and shared by all who ask.
    ///
    /// Throws a ``GatewayError``: 413 above `limit` bytes, 503 when all bodies together take too much, or that the
    /// client left. The first who asks sets the limit of the reading and ends it when its task is cancelled; what ended
    /// the reading is thrown to everyone. Asking for what was forwarded as a stream is an `internal_error`.
    public func collect(upTo limit: Int) async throws -> ByteBuffer { try await storage.collect(upTo: limit) }

    /// A value derived from the collected bytes, made once per body: `make` runs for the first who asks.
    ///
    /// Middlewares use it to scan a body once for all of them. A body keeps one value of each type, so use a type of
    /// your own; what `make` throws is thrown to this caller alone.
    ///
    /// A large body is worked on away from the event loop.
    public func derived<Value: Sendable>(
        upTo limit: Int, _ make: @escaping @Sendable (ByteBuffer) throws -> Value
    ) async throws -> Value {
        if let known = storage.derived(Value.self) { return known }
        let bytes = try await collect(upTo: limit)
        // Another task of this exchange may have made it in the meantime.
        if let known = storage.derived(Value.self) { return known }
        let value = try await BodyWork.run(on: bytes.readableBytes) { try make(bytes) }
        storage.remember(value)
        return value
    }

    /// As ``derived(upTo:_:)`` where nobody has to wait; `nil` where the body has yet to come, or is large. Its reading has
    /// begun then.
    func derivedAtOnce<Value: Sendable>(upTo limit: Int, _ make: (ByteBuffer) throws -> Value) throws -> Value? {
        if let known = storage.derived(Value.self) { return known }
        guard let bytes = try storage.collectAtOnce(upTo: limit), BodyWork.isSmall(bytes.readableBytes) else {
            return nil
        }
        let value = try make(bytes)
        storage.remember(value)
        return value
    }

    /// The value of this type that was derived from the body, if it was.
    func known<Value: Sendable>(_ type: Value.Type) -> Value? { storage.derived(type) }

    /// The body with `edits` applied to `object`, which was scanned from it: counted like this one against
    /// `server.max_buffered`, for as long as it is kept. Without an effective edit it is this body itself.
    ///
    /// Throws a ``GatewayError``: 503 when all that is held together would be too much.
    public func edited(_ object: JSONObject, _ edits: [JSONEdit]) async throws -> RequestBody {
        if let body = try editedAtOnce(object, edits) { return body }
        let size = object.longestEdited(edits)
        let storage = try storage.successor(reserving: size)
        let bytes = try await BodyWork.run(on: size) { object.edited(edits) }
        return successor(storage, bytes, of: object, edits)
    }

    /// The same without waiting; nil for a body that is too large for that.
    package func editedAtOnce(_ object: JSONObject, _ edits: [JSONEdit]) throws -> RequestBody? {
        let size = object.longestEdited(edits)
        guard BodyWork.isSmall(size) else { return nil }
        return successor(try storage.successor(reserving: size), object.edited(edits), of: object, edits)
    }

    private func successor(
        _ storage: RequestBodyStorage, _ bytes: ByteBuffer, of object: JSONObject, _ edits: [JSONEdit]
    ) -> RequestBody {
        if bytes.sharesMemory(with: object.bytes) { return self }
        storage.settle(bytes)
        if let shape = ChatShape(of: self), shape.survives(edits) { storage.remember(shape) }
        return RequestBody(storage: storage)
    }

    private init(storage: RequestBodyStorage) { self.storage = storage }

    /// The body for somebody who forwards it: in memory if it was collected, else the stream itself, once.
    ///
    /// Throws what ended the collecting: a middleware that goes on after a failure must not bring the process down.
    package func takeContent() throws(GatewayError) -> Content { try storage.takeContent() }

    /// A body as it is handed to an upstream.
    package enum Content: Sendable {
        case bytes(ByteBuffer)
        case stream(any BodySource, length: Int?)
    }
}

extension ByteBuffer {
    /// Whether both begin at the same place in memory and have the same length.
    fileprivate func sharesMemory(with other: ByteBuffer) -> Bool {
        withUnsafeReadableBytes { ours in
            other.withUnsafeReadableBytes { $0.baseAddress == ours.baseAddress && $0.count == ours.count }
        }
    }
}
