import NIOHTTP1
import TurnpikeKit

/// What a client is told when its key does not let it in: OpenAI's words and types, where OpenAI has any.
extension GatewayError {
    /// No key at all, or another scheme than `Bearer`.
    static let missingKey = unauthorized(
        "missing_api_key",
        "You didn't provide an API key. Provide it in the Authorization header as Bearer authentication "
            + "(Authorization: Bearer YOUR_KEY).", challenge: "Bearer realm=\"turnpike\"")

    /// Not one of our keys. Never says in which respect.
    static let invalidKey = unauthorized("invalid_api_key", "Incorrect API key provided.")

    /// Which of them would count is for nobody to guess.
    static let severalKeys = unauthorized("invalid_api_key", "The request has more than one Authorization header.")

    /// Told to somebody who knows the secret only.
    static let expiredKey = unauthorized("api_key_expired", "The API key has expired. Ask for a new one.")

    /// Told to somebody who knows the secret only.
    static let revokedKey = unauthorized("api_key_revoked", "The API key has been revoked.")

    /// The database does not answer, and this key was not verified a short while ago.
    static func keysUnavailable(_ error: any Error) -> GatewayError {
        .unavailable(
            "authentication_unavailable", "API keys cannot be verified at the moment. Try again shortly.",
            detail: String(reflecting: error))
    }

    /// OpenAI's API answers a wrong key with `invalid_request_error`; its SDKs go by the status.
    private static func unauthorized(
        _ code: String, _ message: String, challenge: String = "Bearer realm=\"turnpike\", error=\"invalid_token\""
    ) -> GatewayError {
        GatewayError(
            .client, .unauthorized, code: code, message, type: "invalid_request_error",
            headers: ["WWW-Authenticate": challenge])
    }
}
