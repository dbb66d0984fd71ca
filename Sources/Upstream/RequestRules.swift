import NIOCore
import TurnpikeKit

/// The body of a request on its way out.
enum OutgoingBody: Sendable {
    case none
    case bytes(ByteBuffer)
    /// Comes piece by piece; its length, where it is known.
    case stream(length: Int?)

    /// What the time-outs and the rules for repeating have to know.
    var upload: TransferStateMachine.Upload {
        switch self {
        case .none: .none
        case .bytes: .bytes
        case .stream: .stream
        }
    }
}

/// What may go into a request, whichever client sends it: nothing that could change the meaning of the request line or
/// add a header.
enum RequestRules {
    /// Throws ``GatewayError``s: `upstream_request_invalid`, or `body_not_allowed` for a streamed body of a HEAD request.
    static func check(method: String, _ body: OutgoingBody) throws(GatewayError) {
        guard !method.isEmpty, method.allBytes(are: isTokenByte) else {
            throw .upstreamRequestInvalid("the method is not a token")
        }
        if case .stream = body, method == "HEAD" {
            // libcurl does not combine the two, and nobody defines what such a body means (RFC 9110, section 9.3.2).
            throw .badRequest("body_not_allowed", "A HEAD request cannot have a body.")
        }
    }

    static func check(name: String, value: String) throws(GatewayError) {
        guard !name.isEmpty, name.allBytes(are: isTokenByte) else {
            throw .upstreamRequestInvalid("a header's name is not a token")
        }
        guard value.isFieldValue else {
            throw .upstreamRequestInvalid("the header \(name) holds a line break or a zero byte")
        }
    }

    /// Headers that the client makes itself, from the URL and the body, or that belong to one connection.
    static func isOwn(_ name: String) -> Bool {
        switch name.utf8.count {
        case 4: name.equalsIgnoringCase("host")
        case 14: name.equalsIgnoringCase("content-length")
        default: name.isFieldOfConnection
        }
    }

    /// Methods that may be repeated without harm (RFC 9110, section 9.2.2).
    static func isIdempotent(_ method: String) -> Bool {
        switch method {
        case "GET", "HEAD", "PUT", "DELETE", "OPTIONS": true
        default: false
        }
    }

    /// Methods that promise a body: an empty one is announced by `Content-Length: 0` (RFC 9110, section 8.6).
    static func promisesBody(_ method: String) -> Bool {
        switch method {
        case "POST", "PUT", "PATCH": true
        default: false
        }
    }

    /// Whether a byte may stand in a method or a header's name (RFC 9110, section 5.6.2).
    static func isTokenByte(_ byte: UInt8) -> Bool {
        // A bit for each of them: 0-9 and !#$%&'*+-. below 64, A-Z, a-z and ^_`|~ from there to 127.
        let bits: UInt64 = byte < 64 ? 0x3ff6cfa00000000 : 0x57ffffffc7fffffe
        return byte < 128 && bits >> UInt64(byte & 63) & 1 == 1
    }
}
