import NIOCore
import NIOHTTP1
import TurnpikeKit

/// Makes an answer's head of its lines.
///
/// Informational heads (1xx) and trailers are skipped. Order and case of the headers stay; folded lines (RFC 9112,
/// section 5.2) are joined. Only what concerns the connection to the upstream and not the answer is left out.
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
        guard !line.contains(where: { $0 == 13 || $0 == 10 || $0 == 0 }) else {
            return .refuse(.upstreamProtocol("a header holds a control character"))
        }
        if line.isEmpty { return headEnds() }
        return status == nil ? statusLine(line) : fieldLine(line)
    }

    private mutating func statusLine(_ line: Slice<UnsafeRawBufferPointer>) -> Step {
        guard line.starts(with: "HTTP/".utf8) else {
            return .refuse(.upstreamProtocol("its head has no status line"))
        }
        // The digits between the first spaces and the next, or the end.
        let digits = line.drop { $0 != 32 }.drop { $0 == 32 }.prefix { $0 != 32 }
        guard digits.count == 3, digits.allSatisfy({ (48...57).contains($0) }) else {
            return .refuse(.upstreamProtocol("its status line cannot be read"))
        }
        let code = digits.reduce(0) { $0 * 10 + Int($1 - 48) }
        // Nobody asked for another protocol (101).
        guard code >= 100, code != 101 else { return .refuse(.upstreamProtocol("its status line cannot be read")) }
        status = code
        minorVersion = ResponseHeadParser.minorVersion(line)
        fields = []
        fields.reserveCapacity(12)
        return .more
    }

    /// Of `HTTP/1.0 ` and `HTTP/1.1 `.
    private static func minorVersion(_ line: Slice<UnsafeRawBufferPointer>) -> Int? {
        let version = line.dropFirst(5).prefix(4)
        if version.elementsEqual("1.1 ".utf8) { return 1 }
        return version.elementsEqual("1.0 ".utf8) ? 0 : nil
    }

    private mutating func fieldLine(_ line: Slice<UnsafeRawBufferPointer>) -> Step {
        if line.first == 32 || line.first == 9 {
            guard let last = fields.indices.last else {
                return .refuse(.upstreamProtocol("a header has no name"))
            }
            fields[last].1 += " " + ResponseHeadParser.trimmed(line)
            return .more
        }
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex else {
            return .refuse(.upstreamProtocol("a header has no name"))
        }
        // `Content-Length : 5` is a length for some readers and none for others.
        guard line[..<colon].allSatisfy(RequestRules.isTokenByte) else {
            return .refuse(.upstreamProtocol("a header's name is not a token"))
        }
        let name = String(decoding: line[..<colon], as: UTF8.self)
        fields.append((name, ResponseHeadParser.trimmed(line[line.index(after: colon)...])))
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

    private static func withoutLineEnd(_ raw: UnsafeRawBufferPointer) -> Slice<UnsafeRawBufferPointer> {
        var line = raw[...]
        if line.last == 10 { line = line.dropLast() }
        if line.last == 13 { line = line.dropLast() }
        return line
    }

    private static func trimmed(_ value: Slice<UnsafeRawBufferPointer>) -> String {
        let isSpace: (UInt8) -> Bool = { $0 == 32 || $0 == 9 }
        guard let first = value.firstIndex(where: { !isSpace($0) }), let last = value.lastIndex(where: { !isSpace($0) })
        else { return "" }
        return String(decoding: value[first...last], as: UTF8.self)
    }
}
