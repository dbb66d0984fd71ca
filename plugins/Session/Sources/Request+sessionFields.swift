import NIOCore
import OpenAIWire
import TurnpikeKit

extension Request {
    /// Takes what is for Turnpike out of body and query. Where there is nothing of it, nothing changes.
    mutating func removeSessionFields(of chat: ChatRequest) {
        if ChatRequest.extensionFields.contains(where: { chat.object[$0] != nil }) {
            body = RequestBody(chat.edited(ChatRequest.removingExtensions))
        }
        if let target = head.target.removingQueryItem("session_id") { head.target = target }
    }
}

extension String {
    /// The request target without the query items of that name; `nil` where it has none. The rest stays as it is.
    func removingQueryItem(_ name: String) -> String? {
        guard let mark = utf8.firstIndex(of: UInt8(ascii: "?")) else { return nil }
        let items = utf8[utf8.index(after: mark)...].split(
            separator: UInt8(ascii: "&"), omittingEmptySubsequences: false)
        let kept = items.filter { item in
            let end = item.firstIndex(of: UInt8(ascii: "=")) ?? item.endIndex
            return PercentEncoding.decode(Substring(item[..<end]), plusIsSpace: true) != name
        }
        guard kept.count < items.count else { return nil }
        let path = String(self[..<mark])
        return kept.isEmpty ? path : path + "?" + kept.map { String(Substring($0)) }.joined(separator: "&")
    }
}
