import Persistence

/// Sums over a user's exchanges.
struct ActivityStatistics: Sendable, Equatable {
    /// A client may name any number of models; the most used ones are listed.
    static let maximumModels = 100

    struct Tokens: Sendable, Equatable {
        var prompt = 0
        var completion = 0
        var total = 0
    }

    /// The exchanges with one model of one provider.
    struct Model: Sendable, Equatable {
        var provider: String?
        var name: String
        var requests: Int
        var tokens: Tokens
        var cost: Int

        init(_ row: borrowing Row) throws {
            provider = try row.optional(0)
            name = try row.value(1)
            requests = try row.value(2)
            tokens = Tokens(prompt: try row.value(3), completion: try row.value(4), total: try row.value(5))
            cost = try row.value(6)
        }
    }

    /// Exchanges by how they ended.
    var endings: [ActivityEnding: Int] = [:]
    var tokens = Tokens()
    var cachedTokens = 0
    var reasoningTokens = 0
    /// Micro-dollars, of the exchanges whose prices are known.
    var cost = 0
    /// The most used first.
    var models: [Model] = []

    var requests: Int { endings.values.reduce(0, +) }

    /// Adds the sums of one ending.
    mutating func add(_ row: borrowing Row) throws {
        let ending = ActivityEnding(rawValue: try row.value(0)) ?? .failed
        endings[ending, default: 0] += try row.value(1, as: Int.self)
        tokens.prompt += try row.value(2, as: Int.self)
        tokens.completion += try row.value(3, as: Int.self)
        tokens.total += try row.value(4, as: Int.self)
        cachedTokens += try row.value(5, as: Int.self)
        reasoningTokens += try row.value(6, as: Int.self)
        cost += try row.value(7, as: Int.self)
    }
}
