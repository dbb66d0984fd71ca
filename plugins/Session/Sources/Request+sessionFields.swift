import NIOCore
import OpenAIWire
import TurnpikeKit

extension Request {
    /// Takes what is for Turnpike out of body and query. Where there is nothing of it, nothing changes.
    ///
    /// - Parameters:
    ///   - namesSession: `chapter` and the citations of messages are Turnpike's too.
    ///   - messages: The request's, without citations; nil: as they are.
    mutating func removeSessionFields(
        of chat: ChatRequest, namesSession: Bool, messages: [ByteBuffer]? = nil
    ) async throws {
        var found = ChatRequest.extensionFields.filter { chat.object.contains($0) }
        if namesSession, chat.object.contains("chapter") { found.append("chapter") }
        var edits = found.map(JSONEdit.remove)
        if let messages { edits.append(ChatRequest.settingMessages(messages)) }
        if !edits.isEmpty { body = try await body.edited(chat.object, edits) }
        if let target = head.target.removingQueryItem("session_id") { head.target = target }
    }
}

extension String {
    /// The request target without the query items of that name; `nil` where it has none. The rest stays as it is.
    func removingQueryItem(_ name: String) -> String? {
        guard let mark = queryMark else { return nil }
        let items = queryItems(after: mark)
        let kept = items.filter { Self.name(of: $0) != name }
        guard kept.count < items.count else { return nil }
        let path = String(self[..<mark])
        return kept.isEmpty ? path : path + "?" + kept.joined(separator: "&")
    }

    /// The decoded values of all query items of that name.
    ///
    /// - Throws: 400 for one that cannot be decoded: to ignore it would be to forget the session in silence.
    func queryValues(_ name: String) throws(GatewayError) -> [String] {
        guard let mark = queryMark else { return [] }
        var values: [String] = []
        for item in queryItems(after: mark) where Self.name(of: item) == name {
            let start = item.utf8.firstIndex(of: UInt8(ascii: "=")).map { item.utf8.index(after: $0) } ?? item.endIndex
            guard let value = PercentEncoding.decode(item[start...], plusIsSpace: true) else {
                throw .badRequest("invalid_session_id", "The query's “\(name)” is not well formed.", param: name)
            }
            values.append(value)
        }
        return values
    }

    /// Where the query begins. Asked of every request: hardly any has one, and its bytes are looked at as they lie there.
    private var queryMark: Index? {
        let hasNone = utf8.withContiguousStorageIfAvailable { !$0.contains(UInt8(ascii: "?")) }
        return hasNone ?? false ? nil : utf8.firstIndex(of: UInt8(ascii: "?"))
    }

    /// The items as they stand. Split by bytes, so that a combining mark behind a separator does not hide it.
    private func queryItems(after mark: Index) -> [Substring] {
        utf8[utf8.index(after: mark)...]
            .split(separator: UInt8(ascii: "&"), omittingEmptySubsequences: false).map { Substring($0) }
    }

    private static func name(of item: Substring) -> String? {
        let end = item.utf8.firstIndex(of: UInt8(ascii: "=")) ?? item.endIndex
        return PercentEncoding.decode(item[..<end], plusIsSpace: true)
    }
}
