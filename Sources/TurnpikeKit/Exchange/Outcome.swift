/// How an exchange ended, for finishers.
public struct Outcome: Sendable {
    /// What became of the answer.
    public enum Ending: Sendable {
        /// The last byte of the answer was handed to the network.
        case completed
        /// The answer is an error that Turnpike or a plugin gave; it reached the client whole.
        case refused(GatewayError)
        /// The answer broke off after it had begun, or could not be given at all.
        case failed(GatewayError)
        /// The client closed the connection before the end.
        case clientLeft
    }

    public var ending: Ending
    /// The HTTP status that was sent, or 0 when no head was sent.
    public var status: Int
    /// Body bytes read from the client.
    public var requestBytes: Int
    /// Body bytes written to the client.
    public var responseBytes: Int
    /// Nanoseconds from the request's head to the first body byte of the answer; `nil` without one.
    public var firstByteNanoseconds: UInt64?
    /// Nanoseconds from the request's head to the end.
    public var totalNanoseconds: UInt64

    public init(
        ending: Ending, status: Int, requestBytes: Int = 0, responseBytes: Int = 0, firstByteNanoseconds: UInt64? = nil,
        totalNanoseconds: UInt64 = 0
    ) {
        self.ending = ending
        self.status = status
        self.requestBytes = requestBytes
        self.responseBytes = responseBytes
        self.firstByteNanoseconds = firstByteNanoseconds
        self.totalNanoseconds = totalNanoseconds
    }
}
