import NIOCore
import NIOHTTP1
import TurnpikeKit

extension Request {
    /// What `make` reads in the whole body: in a large one away from the event loop.
    func read<Value: Sendable>(
        upTo limit: Int, _ make: @escaping @Sendable (ByteBuffer) throws -> Value
    ) async throws -> Value {
        let bytes = try await body.collect(upTo: limit)
        return try await BodyWork.run(on: bytes.readableBytes) { try make(bytes) }
    }
}
