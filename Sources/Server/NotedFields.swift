import NIOHTTP1
import TurnpikeKit

/// Which of the headers that decide about a request's framing a head has, found in one walk: most heads have two of them,
/// and looking each one up by its name compares it with every header there is.
struct NotedFields {
    private(set) var hosts = 0
    private(set) var hasExpect = false
    private(set) var hasUpgrade = false
    private(set) var hasLength = false
    private(set) var hasCoding = false
    /// Whether white space stands around any value.
    private(set) var hasPadding = false

    init(_ headers: HTTPHeaders) {
        for (name, value) in headers {
            if value.isPadded { hasPadding = true }
            switch name.utf8.count {
            case 4: if name.equalsIgnoringCase("host") { hosts += 1 }
            case 6: if name.equalsIgnoringCase("expect") { hasExpect = true }
            case 7: if name.equalsIgnoringCase("upgrade") { hasUpgrade = true }
            case 14: if name.equalsIgnoringCase("content-length") { hasLength = true }
            case 17: if name.equalsIgnoringCase("transfer-encoding") { hasCoding = true }
            default: break
            }
        }
    }
}

extension String {
    /// Whether this begins or ends with a space or a tab.
    var isPadded: Bool { utf8.first.map(String.isPadding) ?? false || utf8.last.map(String.isPadding) ?? false }

    var withoutPadding: String {
        var rest = utf8[...]
        while let first = rest.first, String.isPadding(first) { rest.removeFirst() }
        while let last = rest.last, String.isPadding(last) { rest.removeLast() }
        return String(Substring(rest))
    }

    private static func isPadding(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
}
