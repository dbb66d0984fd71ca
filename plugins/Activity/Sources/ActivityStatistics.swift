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
            tokens = Tokens(prompt: try row.sum(3), completion: try row.sum(4), total: try row.sum(5))
            cost = try row.sum(6)
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
        tokens.prompt += try row.sum(2)
        tokens.completion += try row.sum(3)
        tokens.total += try row.sum(4)
        cachedTokens += try row.sum(5)
        reasoningTokens += try row.sum(6)
        cost += try row.sum(7)
    }
}

extension Row {
    /// A row that was written by hand may make it larger, which is an error.
    fileprivate func sum(_ column: Int) throws -> Int { Int(try integer(column, in: Row.exactIntegers)) }
}
