/// What a middleware receives and hands on: the head and a body that is read only when somebody asks.
public struct Request: Sendable {
    public var head: RequestHead
    /// Replace it to change what the rest of the chain, and the upstream, will see.
    public var body: RequestBody

    public init(head: RequestHead, body: RequestBody = .empty) {
        self.head = head
        self.body = body
    }
}
