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

    /// `unknown_in_body` (string, default `refuse`): for ids in the body or the query.
    var unknownInBody = Unknown.refuse
    /// `unknown_in_header` (string, default `create`): for ids in `X-Session-ID`; browsers make those up.
    var unknownInHeader = Unknown.create
    /// `history_mode` (string, default `auto`): for sessions and requests that do not say.
    var historyMode = HistoryMode.auto

    init() {}

    init(_ section: ConfigurationSection) throws {
        unknownInBody = try section.choice("unknown_in_body", default: unknownInBody)
        unknownInHeader = try section.choice("unknown_in_header", default: unknownInHeader)
        historyMode = try section.choice("history_mode", default: historyMode)
    }
}
