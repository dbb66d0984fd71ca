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

    init(_ headers: HTTPHeaders) {
        for (name, _) in headers {
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
