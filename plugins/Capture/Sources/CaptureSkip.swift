import Logging
import NIOHTTP1
import TurnpikeKit

/// Why an answer of a session with status 2xx is not stored: the client and the operator are told.
enum CaptureSkip: String, Sendable {
    /// It is compressed although `identity` was asked for.
    case contentEncoding = "content_encoding"
    /// It is neither JSON nor an event stream.
    case contentType = "content_type"
    /// It is JSON, and no chat completion.
    case notACompletion = "not_a_completion"
    /// The model said nothing, or it is an error.
    case noOutput = "no_output"

    static let headerName = "x-turnpike-capture"
    /// What the activity row says.
    static let status = "skipped"

    /// Says so in the answer's head, the activity row, and, where the provider is at fault, the log.
    func note(on response: inout Response, in exchange: Exchange) {
        response.headers.replaceOrAdd(name: Self.headerName, value: "\(Self.status); reason=\(rawValue)")
        exchange.note { $0.captureStatus = Self.status }
        guard self != .noOutput else { return }
        exchange.logger.warning("An answer that cannot be read was not stored.", metadata: ["reason": "\(rawValue)"])
    }
}
