public import NIOCore
public import OpenAIWire

/// Reworks a response's body while it passes. A value: the host keeps it for the one response it was added to.
///
/// `onChunk` and `onEvent` are synchronous and run on the event loop for every chunk, so they must be short and never
/// block. `onEnd` may wait: nothing that it returns, and nothing that comes after it, reaches the client before it
/// has returned. It is called exactly once: when the body is complete, when it failed, or when the client left; in the
/// last case the task may be cancelled, so hand work over instead of waiting for it.
/// What `onChunk` or `onEvent` throws ends the answer: nothing more passes this transformer, and its `onEnd` follows.
/// A transformer that withholds bytes bounds what it keeps and says so in its documentation.
public protocol ResponseTransformer: Sendable {
    /// What this transformer is called with.
    var subscription: ResponseSubscription { get }
    /// A piece of the body, of any length.
    mutating func onChunk(_ chunk: ByteBuffer) throws(GatewayError) -> ChunkAction
    /// One server-sent event, whole.
    mutating func onEvent(_ event: ServerSentEvent) throws(GatewayError) -> EventAction
    /// The body is over. What is returned is added at its end; what is thrown ends the answer with an error.
    mutating func onEnd(_ end: ResponseEnd) async throws -> ResponseTail
}

extension ResponseTransformer {
    public mutating func onChunk(_ chunk: ByteBuffer) throws(GatewayError) -> ChunkAction { .pass }
    public mutating func onEvent(_ event: ServerSentEvent) throws(GatewayError) -> EventAction { .pass }
    public mutating func onEnd(_ end: ResponseEnd) async throws -> ResponseTail { .nothing }
}

/// What a transformer wants to see.
public enum ResponseSubscription: Sendable {
    /// `onChunk`, whatever the body is.
    case bytes
    /// `onEvent` on an event stream, `onChunk` on any other body. Events are parsed once for all who want them.
    case events
}

/// What becomes of a chunk.
public enum ChunkAction: Sendable {
    /// It goes on unchanged.
    case pass
    /// It goes no further; the transformer has kept what it needs.
    case withhold
    /// These bytes go on in its place.
    case replace(ByteBuffer)
}

/// What becomes of an event.
public enum EventAction: Sendable {
    /// It goes on unchanged, byte for byte.
    case pass
    /// It goes no further; the transformer has kept what it needs.
    case withhold
    /// These events go on in its place.
    case replace([ServerSentEvent])
}

/// How the body of a response ended.
public enum ResponseEnd: Sendable {
    /// All of it passed.
    case complete
    /// It broke off: upstream, or in a transformer further in.
    case failed(GatewayError)
    case clientLeft

    /// The end that `error` makes.
    package init(because error: GatewayError) {
        self = error.code == GatewayError.clientLeft.code ? .clientLeft : .failed(error)
    }
}

/// What a transformer adds when the body has ended.
public enum ResponseTail: Sendable {
    case nothing
    /// On an event stream these are whole events, too: transformers further out see them as such.
    case bytes(ByteBuffer)
    case events([ServerSentEvent])
}
