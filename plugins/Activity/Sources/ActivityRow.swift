import NIOHTTP1
import OpenAIWire
import Persistence
import TurnpikeKit

/// What is kept of an exchange: who, what, how it ended and what it took. Never a key and never content.
struct ActivityRow: Sendable {
    /// Microseconds of the wall clock when the request's head was there; with `id` the row's key.
    var created: Timestamp
    /// The exchange's id, which the client has seen as `x-turnpike-request-id`.
    var id: UniqueID
    /// Without a user: refused before anybody knew who asked.
    var userID: UniqueID?
    var keyID: UniqueID?
    var facts: ActivityFacts
    var method: String
    /// Without the query, which may hold anything.
    var path: String
    var endpoint: String?
    var status: Int
    var ending: ActivityEnding
    var errorCode: String?
    var requestBytes: Int
    var responseBytes: Int
    /// Microseconds from the request's head to the first byte of the answer, and to the end.
    var firstByte: Int?
    var total: Int
    /// The flags that were on.
    var flags: [String]
    /// How many requests the row stands for: more than one only where nobody knows who sent them, see
    /// ``RefusalGatherer``. Everything but the bytes is then of the first of them.
    var requests = 1
    /// Micro-dollars, by the prices of the model that answered; nil where they or the usage are not known.
    var cost: Int?
}

/// How an exchange ended; the raw values are stored.
enum ActivityEnding: String, Sendable, CaseIterable {
    case completed, refused, failed, abandoned
}

extension ActivityRow {
    /// - Parameter tail: Where to look for what the exchange used, if no step has read it.
    init(_ exchange: Exchange, _ outcome: Outcome, _ tail: UsageTail? = nil) {
        let principal = exchange[PrincipalKey.self]
        created = Timestamp(microseconds: exchange.startedMicroseconds)
        id = exchange.id
        userID = principal?.userID
        keyID = principal?.keyID
        facts = exchange.facts
        if facts.usage == nil { facts.usage = tail?.usage }
        cost = facts.cost
        method = exchange.head.method.rawValue
        path = String(exchange.head.path)
        endpoint = exchange[EndpointKey.self].map(Self.name)
        status = outcome.status
        (ending, errorCode) = Self.ending(outcome.ending)
        requestBytes = outcome.requestBytes
        responseBytes = outcome.responseBytes
        firstByte = outcome.firstByteNanoseconds.map { Int($0 / 1_000) }
        total = Int(outcome.totalNanoseconds / 1_000)
        flags = exchange.flagsInEffect
    }

    private static func ending(_ ending: Outcome.Ending) -> (ActivityEnding, String?) {
        switch ending {
        case .completed: (.completed, nil)
        case .refused(let error): (.refused, error.code)
        case .failed(let error): (.failed, error.code)
        case .clientLeft: (.abandoned, nil)
        }
    }

    private static func name(_ endpoint: Endpoint) -> String {
        switch endpoint {
        case .chatCompletions: "chat_completions"
        case .models: "models"
        case .json: "json"
        case .streamed: "streamed"
        case .stateful: "stateful"
        case .unknown: "unknown"
        }
    }
}
