// Stands in for the real declarations until they land: delete this file together with that change.
public import NIOCore

/// One event of a stream.
public struct ServerSentEvent: Sendable { public var raw: ByteBuffer }
/// A wire error.
public struct WireError: Error {}
/// Token counts.
public struct Usage: Sendable, Equatable {}
/// Splits a stream into events.
public struct ServerSentEventParser: Sendable {
    /// Interim.
    public init(maxEventBytes: Int) {}
    /// Interim.
    public mutating func append(_ bytes: ByteBuffer) {}
    /// Interim.
    public mutating func next() throws(WireError) -> ServerSentEvent? { nil }
    /// Interim.
    public mutating func finish() -> ByteBuffer { ByteBuffer() }
}
