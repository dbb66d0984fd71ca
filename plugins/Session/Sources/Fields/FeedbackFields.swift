import Conversations
import OpenAIWire
import Persistence
import TurnpikeKit

/// What a body says a user thinks.
enum FeedbackFields {
    /// - Parameters:
    ///   - seq: The message; nil: the session as a whole.
    ///   - time: When it was said, unless the body has a time of its own and `keepsTimes`.
    ///   - param: What stands before a field's name in errors.
    static func feedback(
        _ fields: RequestFields, seq: Int64?, at time: Timestamp, param: String = "", keepsTimes: Bool = false
    ) throws -> Feedback {
        let thumb = try fields.text("thumb").value
        guard thumb == nil || thumb == "up" || thumb == "down" else {
            throw GatewayError.badRequest("invalid_value", "“thumb” is “up” or “down”.", param: param + "thumb")
        }
        let score = try score(fields.object, param)
        let comment = try fields.text("comment").value
        guard thumb != nil || score != nil || comment != nil else {
            throw GatewayError.badRequest(
                "missing_required_parameter", "Feedback has a “thumb”, a “score” or a “comment”.",
                param: param + "thumb")
        }
        var feedback = Feedback(
            seq: seq, thumb: thumb.map { $0 == "up" ? .up : .down }, scoreHundredths: score, comment: comment, at: time)
        guard keepsTimes else { return feedback }
        feedback.createdAt = try fields.time("created_at") ?? time
        feedback.updatedAt = try fields.time("updated_at") ?? feedback.createdAt
        return feedback
    }

    private static func score(_ object: JSONObject, _ param: String) throws -> Int? {
        guard let value = object.nonNull("score") else { return nil }
        guard let score = value.double, (-1_000_000...1_000_000).contains(score) else {
            throw GatewayError.badRequest(
                "invalid_value", "“score” is a number from -1000000 to 1000000.", param: param + "score")
        }
        return Int((score * 100).rounded())
    }
}

extension RequestFields {
    /// A time in whole seconds since 1970, up to the year 2100.
    func time(_ name: String) throws(GatewayError) -> Timestamp? {
        try int(name, in: 0...4_102_444_800).value.map { Timestamp(microseconds: Int64($0) * 1_000_000) }
    }

    /// An object inside the body.
    func fields(_ name: String) throws -> RequestFields? {
        guard let value = object.nonNull(name) else { return nil }
        guard let inner = try GatewayError.blamingClient({ () throws(WireError) in try value.object() }) else {
            throw GatewayError(wire: .wrongType(name, expected: "an object"))
        }
        return RequestFields(inner)
    }
}
