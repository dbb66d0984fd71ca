public import OpenAIWire

/// Fits a request to the target that it goes to: another model may have another context, another provider other fields.
///
/// The body that reaches the router is made for the plan's first target. For every further one it asks here, and applies
/// the edits to that same body.
public protocol RequestFitting: Sendable {
    /// How many bytes ``edits(for:)`` may have to look at, so that much work is done away from the event loops.
    func size(for target: RouteTarget) -> Int

    /// What has to change in the body for `target`.
    ///
    /// - Throws: a ``GatewayError`` where the request does not fit there at all.
    func edits(for target: RouteTarget) throws -> [JSONEdit]
}

/// Left by `history`, asked by `router`.
public enum RequestFittingKey: ExchangeKey { public typealias Value = any RequestFitting }
