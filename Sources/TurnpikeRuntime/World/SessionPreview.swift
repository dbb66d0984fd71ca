import NIOHTTP1
import TurnpikeKit

/// The dry run of a chat request in a session: `POST /v1/chat/sessions/{id}/preview`.
///
/// It takes the way of the chat request that its body is, through the same chain with the same flags, so that what it
/// shows is what would be sent; the router then answers instead of sending it.
enum SessionPreview {
    private static let bases = ["/v1/chat/sessions/", "/chat/sessions/"]
    private static let end = "/preview"

    /// The chat request that is to be tried; `nil` for any other request.
    static func request(_ request: Request) -> Request? {
        let path = request.head.path
        guard request.head.method == .POST, path.hasSuffix(end),
            let base = bases.first(where: { path.hasPrefix($0) }), path.utf8.count > base.utf8.count + end.utf8.count,
            let id = PercentEncoding.decode(path.dropFirst(base.count).dropLast(end.count)), !id.contains("/")
        else { return nil }
        var chat = request
        chat.head.target = "/v1/chat/completions" + request.head.target.dropFirst(path.count)
        chat.head.headers.replaceOrAdd(name: "X-Session-ID", value: id)
        return chat
    }
}
