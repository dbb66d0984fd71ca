import NIOHTTP1
import TurnpikeKit

/// How a request's body is delimited (RFC 9112, section 6).
enum RequestFraming: Sendable, Equatable {
    case none
    case length(Int)
    case chunked

    /// Reads the framing from a head whose values have no white space around them, or says why two readers could
    /// disagree about it.
    ///
    /// llhttp refuses most of this itself, and by itself too leniently: it takes lengths up to 2^64-1, any coding before
    /// `chunked`, and an empty `Transfer-Encoding`. What is passed on must be framed in one way only.
    init(_ head: HTTPRequestHead, _ noted: NotedFields) throws(GatewayError) {
        let lengths = noted.hasLength ? head.headers["content-length"] : []
        guard noted.hasCoding else {
            self = try RequestFraming(lengths: lengths)
            return
        }
        guard lengths.isEmpty else {
            throw RequestFraming.refusal("Content-Length and Transfer-Encoding exclude each other.")
        }
        guard head.version == .http1_1 else { throw RequestFraming.refusal("HTTP/1.0 knows no Transfer-Encoding.") }
        let codings = head.headers[canonicalForm: "transfer-encoding"]
        guard codings.count == 1, codings[0].lowercased() == "chunked" else {
            throw RequestFraming.refusal("The only Transfer-Encoding that this server reads is chunked.")
        }
        self = .chunked
    }

    private init(lengths: [String]) throws(GatewayError) {
        guard let text = lengths.first else {
            self = .none
            return
        }
        guard lengths.count == 1, let length = RequestFraming.length(text) else {
            throw RequestFraming.refusal("There must be one Content-Length, and it must be a decimal number.")
        }
        self = length == 0 ? .none : .length(length)
    }

    /// Digits and nothing else; the white space around them is off already.
    private static func length(_ text: String) -> Int? {
        let digits = text.utf8
        guard !digits.isEmpty, digits.count <= 18, digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return digits.reduce(0) { $0 * 10 + Int($1 - 0x30) }
    }

    private static func refusal(_ message: String) -> GatewayError { .badRequest("malformed_request", message) }

    /// The body's length where it is known before reading.
    var declaredLength: Int? {
        switch self {
        case .none: 0
        case .length(let length): length
        case .chunked: nil
        }
    }
}
