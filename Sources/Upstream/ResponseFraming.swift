import NIOHTTP1
import TurnpikeKit

/// What an answer's head says about its connection: where its body ends, and whether another request may follow.
///
/// Such headers (RFC 9110, section 7.6.1) are not passed on; the server frames the answer anew.
struct ResponseFraming: Sendable, Equatable {
    enum Coding: Sendable, Equatable {
        case none
        case chunked
        /// Any other, or several: where such a body ends depends on who reads it.
        case other
    }

    /// The digit after `HTTP/1.`; `nil` for what is no HTTP/1.
    var minorVersion: Int?
    /// What `Content-Length` says.
    var length: Int?
    var coding = Coding.none
    /// Whether `Connection` holds `close`, and whether `keep-alive`.
    var closes = false
    var keepsAlive = false

    /// Whether the connection stays open after the answer (RFC 9112, section 9.3). Two framings at once are somebody's
    /// mistake: the next answer could be a part of this one.
    var isPersistent: Bool {
        guard !closes, coding == .none || length == nil else { return false }
        return minorVersion == 1 || keepsAlive
    }

    /// The headers that belong to the answer, in their order, and what the others say; an error when they contradict
    /// each other about the answer's length.
    static func split(_ fields: [(String, String)]) -> Result<
        (headers: HTTPHeaders, framing: ResponseFraming), GatewayError
    > {
        var framing = ResponseFraming()
        var lengths = 0
        var hasHopByHop = false
        for (name, value) in fields {
            if isLength(name) {
                guard let length = number(value), framing.length == nil || framing.length == length else {
                    return .failure(.upstreamProtocol("its Content-Length cannot be read"))
                }
                framing.length = length
                lengths += 1
            } else if isHopByHop(name) {
                hasHopByHop = true
                framing.note(name, value)
            }
        }
        // Most answers have nothing of the kind.
        guard hasHopByHop || lengths > 1 else { return .success((HTTPHeaders(fields), framing)) }
        return .success((HTTPHeaders(endToEnd(fields, framing)), framing))
    }

    private mutating func note(_ name: String, _ value: String) {
        if name.equalsIgnoringCase("transfer-encoding") {
            coding = coding == .none && value.equalsIgnoringCase("chunked") ? .chunked : .other
        } else if name.equalsIgnoringCase("connection") {
            for option in value.split(separator: ",") {
                let option = option.trimmingSpaces
                if ResponseFraming.equal(option, "close") { closes = true }
                if ResponseFraming.equal(option, "keep-alive") { keepsAlive = true }
            }
        }
    }

    private static func endToEnd(_ fields: [(String, String)], _ framing: ResponseFraming) -> [(String, String)] {
        var hasLength = false
        var kept = fields.filter { name, _ in
            guard isLength(name) else { return !isHopByHop(name) }
            defer { hasLength = true }
            // The chunks decide (RFC 9112, section 6.3); a length beside them says nothing true.
            return framing.coding == .none && !hasLength
        }
        for named in fields where equal(named.0, "connection") {
            for option in named.1.split(separator: ",") {
                let name = option.trimmingSpaces
                if !equal(name, "close"), !equal(name, "keep-alive") { kept.removeAll { equal($0.0, name) } }
            }
        }
        return kept
    }

    /// Digits only: no sign, no list. More than 18 of them are no length of anything.
    private static func number(_ value: String) -> Int? {
        guard !value.isEmpty, value.utf8.count <= 18 else { return nil }
        var number = 0
        for byte in value.utf8 {
            guard byte &- 48 < 10 else { return nil }
            number = number * 10 + Int(byte - 48)
        }
        return number
    }

    private static func isLength(_ name: String) -> Bool {
        name.utf8.count == 14 && name.equalsIgnoringCase("content-length")
    }

    private static func isHopByHop(_ name: String) -> Bool {
        name.isFieldOfConnection || name.hasPrefixIgnoringCase("proxy-")
    }

    private static func equal(_ name: some StringProtocol, _ other: some StringProtocol) -> Bool {
        name.utf8.count == other.utf8.count && zip(name.utf8, other.utf8).allSatisfy { lower($0) == lower($1) }
    }

    private static func lower(_ byte: UInt8) -> UInt8 { (65...90).contains(byte) ? byte | 0x20 : byte }
}

extension Substring {
    fileprivate var trimmingSpaces: Substring {
        var text = self
        while text.first == " " || text.first == "\t" { text = text.dropFirst() }
        while text.last == " " || text.last == "\t" { text = text.dropLast() }
        return text
    }
}
