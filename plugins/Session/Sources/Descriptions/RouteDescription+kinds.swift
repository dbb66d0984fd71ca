import TurnpikeKit

/// The kinds of operations that most endpoints are.
extension RouteDescription {
    /// One answer when all goes well.
    ///
    /// - Parameters:
    ///   - schema: The answer's; nil: it has no body.
    ///   - answer: A sentence about the answer.
    ///   - more: Errors that only this endpoint has.
    static func giving(
        _ id: String, _ summary: String, _ schema: String?, _ answer: String, status: Int = 200, body: String? = nil,
        parameters: [RouteParameter] = [], more: [RouteAnswer] = []
    ) -> RouteDescription {
        RouteDescription(
            id, summary, parameters: parameters, body: body, answers: [RouteAnswer(status, schema, answer)] + more)
    }

    /// A page of a list.
    static func page(
        _ id: String, _ summary: String, _ schema: String, _ answer: String, more: [RouteParameter] = [],
        limit: RouteParameter = SessionDescriptions.limit
    ) -> RouteDescription {
        .giving(id, summary, schema, answer, parameters: [limit, SessionDescriptions.offset] + more)
    }
}
