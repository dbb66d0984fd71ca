public import NIOCore

/// Where a body's bytes come from: a client's upload, an upstream's answer.
///
/// Bodies are pushed, not pulled, so that a chunk costs no task switch. Everything happens on the exchange's event
/// loop. After `start`, the source calls `receive` for each chunk and `end` exactly once, unless `cancel` came first.
public protocol BodySource: AnyObject, Sendable {
    /// Begins delivery to `sink`, which the source retains until the end. Called at most once.
    func start(_ sink: any BodySink)
    /// Stops delivery until called with `false`. A source may deliver what it had already read.
    func setPaused(_ isPaused: Bool)
    /// Gives the rest up: the source frees what it holds and calls the sink no more.
    ///
    /// May be called before `start` (which then is not), from within the sink's `receive`, and again; after the end it
    /// does nothing. A source that is released without having been started gives up by itself.
    func cancel()
}

/// Where a body's bytes go. Called on the exchange's event loop, possibly before `start` has returned.
public protocol BodySink: AnyObject, Sendable {
    func receive(_ bytes: ByteBuffer)
    func end(_ end: BodyEnd)
}

/// How a body ended.
public enum BodyEnd: Sendable {
    /// All of it was delivered, as its framing promised.
    case complete
    /// It broke off; what came before is not the whole.
    case failed(GatewayError)
}
