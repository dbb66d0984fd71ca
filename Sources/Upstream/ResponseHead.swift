import NIOHTTP1

/// The status and the headers of an answer, without those that concern one connection only.
struct ResponseHead: Sendable {
    var status: Int
    var headers: HTTPHeaders
    /// What the head says about its connection. libcurl decides that by itself.
    var framing = ResponseFraming()
}
