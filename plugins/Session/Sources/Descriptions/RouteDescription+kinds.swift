import TurnpikeKit

/// The kinds of operations that most endpoints are.
extension RouteDescription {
    /// One answer when all goes well.
    ///
    /// - Parameters:
    ///   - schema: The answer's; nil: it has no body.
    ///   - answer: A sentence about the answer.
    static func giving(
        _ id: String, _ summary: String, _ schema: String?, _ answer: String, status: Int = 200, body: String? = nil,
        parameters: [RouteParameter] = []
    ) -> RouteDescription {
        RouteDescription(
            id, summary, parameters: parameters, body: body, answers: [RouteAnswer(status, schema, answer)])
    }

    /// A page of a list.
    static func page(
        _ id: String, _ summary: String, _ schema: String, _ answer: String, more: [RouteParameter] = []
    ) -> RouteDescription {
        .giving(
            id, summary, schema, answer, parameters: [SessionDescriptions.limit, SessionDescriptions.offset] + more)
    }
}
