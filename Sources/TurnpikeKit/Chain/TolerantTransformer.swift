import Logging
import NIOCore
import OpenAIWire

/// A transformer of a plugin that fails open: once it has thrown, everything passes it unchanged.
///
/// A transformer that has withheld or replaced something is not passed over: what it withheld, or kept back of what it
/// replaced, would be missing from the answer without a word.
private struct TolerantTransformer: ResponseTransformer {
    var transformer: any ResponseTransformer
    let pluginID: String
    let exchange: Exchange
    private var hasChanged = false
    private var failure: GatewayError?

    init(_ transformer: any ResponseTransformer, of pluginID: String, in exchange: Exchange) {
        self.transformer = transformer
        self.pluginID = pluginID
        self.exchange = exchange
    }

    var subscription: ResponseSubscription { transformer.subscription }

    mutating func onChunk(_ chunk: ByteBuffer) throws(GatewayError) -> ChunkAction {
        guard failure == nil else { return .pass }
        do {
            let action = try transformer.onChunk(chunk)
            if case .pass = action {} else { hasChanged = true }
            return action
        } catch {
            try tolerate(error)
            return .pass
        }
    }

    mutating func onEvent(_ event: ServerSentEvent) throws(GatewayError) -> EventAction {
        guard failure == nil else { return .pass }
        do {
            let action = try transformer.onEvent(event)
            if case .pass = action {} else { hasChanged = true }
            return action
        } catch {
            try tolerate(error)
            return .pass
        }
    }

    mutating func onEnd(_ end: ResponseEnd) async throws -> ResponseTail {
        do {
            guard let failure else { return try await transformer.onEnd(end) }
            // Its stream broke off where it failed; what it would add to the rest means nothing.
            _ = try? await transformer.onEnd(.failed(failure))
            return .nothing
        } catch {
            try tolerate(error as? GatewayError ?? .internalError(String(reflecting: error)))
            return .nothing
        }
    }

    private mutating func tolerate(_ error: GatewayError) throws(GatewayError) {
        if hasChanged { throw error }
        failure = error
        exchange.passOver(pluginID, because: error)
    }
}

extension Response {
    /// Makes the transformers from `first` on those of a plugin that fails open.
    mutating func tolerateFailures(of pluginID: String, in exchange: Exchange, from first: Int) {
        guard first < transformers.count else { return }
        for index in first..<transformers.count {
            transformers[index] = TolerantTransformer(transformers[index], of: pluginID, in: exchange)
        }
    }
}
