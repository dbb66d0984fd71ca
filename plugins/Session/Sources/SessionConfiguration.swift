import Conversations
import TurnpikeKit

/// `plugins.session`.
struct SessionConfiguration: Sendable {
    /// What becomes of a request that names a session which does not exist.
    enum Unknown: String, CaseIterable, Sendable {
        /// 404.
        case refuse
        /// The session is made, with the client's id.
        case create
    }

    /// What an untitled session is called.
    enum Title: String, CaseIterable, Sendable {
        /// `New Conversation`.
        case `default`
        /// The first words of its first message.
        case firstMessage = "first_message"
    }

    /// What a session without a title is shown as.
    static let defaultTitle = "New Conversation"

    /// `unknown_in_body` (string, default `refuse`): for ids in the body or the query.
    var unknownInBody = Unknown.refuse
    /// `unknown_in_header` (string, default `create`): for ids in `X-Session-ID`; browsers make those up.
    var unknownInHeader = Unknown.create
    /// `history_mode` (string, default `auto`): for sessions and requests that do not say.
    var historyMode = HistoryMode.auto
    /// `concurrency` (string, default `allow`), `concurrency_wait` (duration, default `60s`): what becomes of a request
    /// whose session is answering another one, and how long it waits where it is to.
    var concurrency = SessionGate.Policy.allow
    var concurrencyWait = Duration.seconds(60)
    /// `title` (string, default `default`): the title of sessions that chats begin. A conversation that is found or
    /// created by its external id always takes its first message.
    var title = Title.default
    /// `search_time` (duration, default `1s`): how long one page of a search or of a filtered list may take; it goes on
    /// with its cursor.
    var searchTime = Duration.seconds(1)
    /// For every user that `users` does not name.
    private var limits = SessionLimits()
    /// `users` (section, default empty): the limits of single users, by their names.
    private var limitsOfUsers: [String: SessionLimits] = [:]

    init() {}

    init(_ section: ConfigurationSection) throws {
        unknownInBody = try section.choice("unknown_in_body", default: unknownInBody)
        unknownInHeader = try section.choice("unknown_in_header", default: unknownInHeader)
        historyMode = try section.choice("history_mode", default: historyMode)
        concurrency = try section.choice("concurrency", default: concurrency)
        concurrencyWait = try section.duration("concurrency_wait", default: concurrencyWait)
        title = try section.choice("title", default: title)
        searchTime = try section.duration("search_time", default: searchTime)
        limits = try SessionLimits(section)
        let users = try section.section("users")
        for name in users.names {
            limitsOfUsers[name] = try SessionLimits(users.section(name), defaults: limits)
        }
    }

    func limits(of user: String) -> SessionLimits { limitsOfUsers[user] ?? limits }
}
