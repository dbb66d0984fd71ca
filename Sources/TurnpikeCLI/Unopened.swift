import NIOHTTP1
import Persistence
import TurnpikeKit

/// Stands where the database would, while a configuration is only checked: plugins are made, and touch nothing.
final class UnopenedDatabase: Database {
    let dialect = Dialect.sqlite
    let threads = DatabaseThreads("unopened", readers: 1, writers: 1, shards: 1)

    func blockingRead<Value>(_ body: (any Connection) throws -> Value) throws -> Value { throw Self.refusal }
    func blockingWrite<Value>(_ body: (any Connection) throws -> Value) throws -> Value { throw Self.refusal }
    func close() async { await threads.close() }

    private static var refusal: DatabaseError { DatabaseError(.unavailable, "nothing is opened during a check") }
}

/// The upstream's counterpart to it.
struct UnconnectedUpstream: UpstreamClient {
    func send(_ request: UpstreamRequest, in exchange: Exchange) async throws -> Response {
        throw GatewayError.internalError("nothing is sent during a check")
    }
}
