import NIOCore
import NIOHTTP1
import TurnpikeKit

/// Makes an answer's head of its lines.
///
/// Informational heads (1xx) and trailers are skipped. Order and case of the headers stay; folded lines (RFC 9112,
/// section 5.2) are joined; values that are not UTF-8 stay as they are (``OpaqueText``). Only what concerns the connection to the upstream and not the answer is left out.
struct ResponseHeadParser {
    /// All head lines of one answer together, informational ones included, in bytes.
    static let maxBytes = 256 << 10

    enum Step {
        case more
        case head(ResponseHead)
        case refuse(GatewayError)
    }

    private var status: Int?
    private var minorVersion: Int?
    private var fields: [(String, String)] = []
    private var totalBytes = 0
    private var isComplete = false

    /// One line as it came, with its line end.
    mutating func line(_ raw: UnsafeRawBufferPointer) -> Step {
        guard !isComplete else { return .more }
        totalBytes += raw.count
        guard totalBytes <= ResponseHeadParser.maxBytes else {
            return .refuse(.upstreamProtocol("its head is longer than \(ResponseHeadParser.maxBytes) bytes"))
        }
        let line = ResponseHeadParser.withoutLineEnd(raw)
        // All of them, without a way out: several are compared at once.
        var hasControl = false
        for byte in line { hasControl = byte == 13 || byte == 10 || byte == 0 || hasControl }
        if hasControl { return .refuse(.upstreamProtocol("a header holds a control character")) }
        if line.isEmpty { return headEnds() }
        return status == nil ? statusLine(line) : fieldLine(line)
    }

    /// `HTTP/1.1 200` and whatever words follow.
    private mutating func statusLine(_ line: UnsafeRawBufferPointer) -> Step {
        guard line.starts(with: "HTTP/".utf8) else {
            return .refuse(.upstreamProtocol("its head has no status line"))
        }
        var at = 5
        while at < line.count, line[at] != 32 { at += 1 }
        while at < line.count, line[at] == 32 { at += 1 }
        guard let code = ResponseHeadParser.code(line[at...]) else {
            return .refuse(.upstreamProtocol("its status line cannot be read"))
        }
        status = code
        minorVersion = ResponseHeadParser.minorVersion(line)
        fields = []
        fields.reserveCapacity(12)
        return .more
    }

    /// Three digits, then a space or the end. Nobody asked for another protocol (101).
    private static func code(_ text: Slice<UnsafeRawBufferPointer>) -> Int? {
        var code = 0
        var count = 0
        for byte in text {
            if byte == 32 { break }
            guard byte &- 48 < 10, count < 3 else { return nil }
            code = code * 10 + Int(byte - 48)
            count += 1
        }
        return count == 3 && code >= 100 && code != 101 ? code : nil
    }

    /// Of `HTTP/1.0 ` and `HTTP/1.1 `.
    private static func minorVersion(_ line: UnsafeRawBufferPointer) -> Int? {
        guard line.count > 8, line[5] == UInt8(ascii: "1"), line[6] == UInt8(ascii: "."), line[8] == 32 else {
            return nil
        }
        switch line[7] {
        case UInt8(ascii: "0"): return 0
        case UInt8(ascii: "1"): return 1
        default: return nil
        }
    }

    private mutating func fieldLine(_ line: UnsafeRawBufferPointer) -> Step {
        if line[0] == 32 || line[0] == 9 {
            guard let last = fields.indices.last else { return .refuse(.upstreamProtocol("a header has no name")) }
            fields[last].1 += " " + ResponseHeadParser.trimmed(line, from: 0)
            return .more
        }
        var colon = 0
        // `Content-Length : 5` is a length for some readers and none for others: a name is a token.
        while colon < line.count, RequestRules.isTokenByte(line[colon]) { colon += 1 }
        guard colon > 0, colon < line.count, line[colon] == UInt8(ascii: ":") else {
            return .refuse(.upstreamProtocol("a header has no name, or one that is not a token"))
        }
        let name = String(decoding: line[..<colon], as: UTF8.self)
        fields.append((name, ResponseHeadParser.trimmed(line, from: colon + 1)))
        return .more
    }

    private mutating func headEnds() -> Step {
        guard let status else { return .refuse(.upstreamProtocol("its head has no status line")) }
        guard status >= 200 else {
            self.status = nil
            return .more
        }
        isComplete = true
        let kept = ResponseFraming.split(fields)
        fields = []
        switch kept {
        case .success((let headers, var framing)):
            framing.minorVersion = minorVersion
            return .head(ResponseHead(status: status, headers: headers, framing: framing))
        case .failure(let error): return .refuse(error)
        }
    }

    private static func withoutLineEnd(_ raw: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        var count = raw.count
        if count > 0, raw[count - 1] == 10 { count -= 1 }
        if count > 0, raw[count - 1] == 13 { count -= 1 }
        return UnsafeRawBufferPointer(rebasing: raw[..<count])
    }

    private static func trimmed(_ line: UnsafeRawBufferPointer, from start: Int) -> String {
        var (first, end) = (start, line.count)
        while first < end, line[first] == 32 || line[first] == 9 { first += 1 }
        while end > first, line[end - 1] == 32 || line[end - 1] == 9 { end -= 1 }
        return OpaqueText.string(UnsafeRawBufferPointer(rebasing: line[first..<end]))
    }
}
