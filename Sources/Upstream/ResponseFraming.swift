import NIOHTTP1
import TurnpikeKit

/// Which of an upstream's headers concern its connection (RFC 9110, section 7.6.1) and are not passed on.
enum ResponseFraming {
    /// The headers that belong to the answer, in their order; an error when they contradict each other about its length.
    static func endToEnd(_ fields: [(String, String)]) -> Result<HTTPHeaders, GatewayError> {
        // Most answers have nothing of the kind.
        guard fields.contains(where: { isHopByHop($0.0) }) else { return withOneLength(fields) }
        var kept = fields.filter { !isHopByHop($0.0) }
        for named in fields where equal(named.0, "connection") {
            for option in named.1.split(separator: ",") {
                let name = option.trimmingSpaces
                if !equal(name, "close"), !equal(name, "keep-alive") { kept.removeAll { equal($0.0, name) } }
            }
        }
        if fields.contains(where: { equal($0.0, "transfer-encoding") }) {
            // Chunked framing decides (RFC 9112, section 6.3); a length beside it says nothing true.
            kept.removeAll { equal($0.0, "content-length") }
            return .success(HTTPHeaders(kept))
        }
        return withOneLength(kept)
    }

    private static func withOneLength(_ fields: [(String, String)]) -> Result<HTTPHeaders, GatewayError> {
        let lengths = fields.indices.filter { fields[$0].0.equalsIgnoringCase("content-length") }
        guard let first = lengths.first else { return .success(HTTPHeaders(fields)) }
        let value = fields[first].1
        let isNumber = !value.isEmpty && value.utf8.allSatisfy { (48...57).contains($0) }
        guard isNumber, lengths.allSatisfy({ fields[$0].1 == value }) else {
            return .failure(.upstreamProtocol("its Content-Length cannot be read"))
        }
        var fields = fields
        for index in lengths.dropFirst().reversed() { fields.remove(at: index) }
        return .success(HTTPHeaders(fields))
    }

    private static func isHopByHop(_ name: String) -> Bool {
        switch name.utf8.count {
        case 2: name.equalsIgnoringCase("te")
        case 7: name.equalsIgnoringCase("trailer") || name.equalsIgnoringCase("upgrade")
        case 10: name.equalsIgnoringCase("connection") || name.equalsIgnoringCase("keep-alive")
        case 17: name.equalsIgnoringCase("transfer-encoding")
        default: name.hasPrefixIgnoringCase("proxy-")
        }
    }

    static func equal(_ name: some StringProtocol, _ other: some StringProtocol) -> Bool {
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
