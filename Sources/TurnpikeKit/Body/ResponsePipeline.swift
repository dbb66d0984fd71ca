package import NIOCore
import NIOHTTP1
import OpenAIWire

/// The transformers of one response, applied in order from the innermost to the outermost.
///
/// Neighbours that want events share one parser. A transformer that wants bytes between two that want events splits
/// them into two steps, so each always sees what its inner neighbour let through.
package struct ResponsePipeline: Sendable {
    private var steps: [any PipelineStep] = []

    /// `budget` bounds what is kept of events that are not whole yet, together with all else that is held.
    package init(_ transformers: [any ResponseTransformer], isEventStream: Bool, budget: BufferBudget? = nil) {
        var neighbours: [any ResponseTransformer] = []
        for transformer in transformers {
            switch (transformer.subscription, isEventStream) {
            case (.events, true): neighbours.append(transformer)
            case (.bytes, _), (.events, false):
                if !neighbours.isEmpty { steps.append(EventStep(neighbours, budget: budget)) }
                neighbours = []
                steps.append(ByteStep(transformer))
            }
        }
        if !neighbours.isEmpty { steps.append(EventStep(neighbours, budget: budget)) }
    }

    package var isEmpty: Bool { steps.isEmpty }

    /// Whether the event that ends a stream, `[DONE]`, has come: nothing that counts follows it.
    package var isDone: Bool { steps.contains { $0.isDone } }

    /// Passes a chunk through; `nil` when nothing of it goes on now.
    ///
    /// After it has thrown, only `finish` may follow; what the transformers let through before the failure comes there.
    package mutating func receive(_ chunk: ByteBuffer) throws(GatewayError) -> ByteBuffer? {
        try pass(chunk, from: 0)
    }

    /// Ends every transformer, the innermost first; each one's tail passes through those outside it.
    ///
    /// An error ends the body with that error for the transformers further out, whose ends are still called. The bytes
    /// belong to the answer whether or not there is an error; it is the first one that counts.
    package mutating func finish(_ end: ResponseEnd) async -> (bytes: ByteBuffer?, error: GatewayError?) {
        var end = end
        var failure: GatewayError?
        var output: ByteBuffer?
        for index in steps.indices {
            var (tail, error) = await steps[index].finish(end)
            if let bytes = tail {
                do {
                    tail = try pass(bytes, from: index + 1)
                } catch let outer {
                    tail = nil
                    error = error ?? outer
                }
            }
            if let tail { append(tail, to: &output) }
            if let error { end.fail(error, noting: &failure) }
        }
        return (output, failure)
    }

    private mutating func pass(_ chunk: ByteBuffer, from first: Int) throws(GatewayError) -> ByteBuffer? {
        var chunk = chunk
        for index in first..<steps.count {
            guard let passed = try steps[index].receive(chunk) else { return nil }
            chunk = passed
        }
        return chunk
    }
}

/// A part of the pipeline with one view of the body. A value behind an existential, so that it works in place.
protocol PipelineStep: Sendable {
    /// Whether `[DONE]` has come.
    var isDone: Bool { get }
    /// What goes on of `chunk` now. After it has thrown, it lets nothing through any more.
    mutating func receive(_ chunk: ByteBuffer) throws(GatewayError) -> ByteBuffer?
    /// Ends the transformers, once, and gives what is left to go on.
    mutating func finish(_ end: ResponseEnd) async -> (tail: ByteBuffer?, error: GatewayError?)
}

/// One transformer that sees bytes.
private struct ByteStep: PipelineStep {
    let isDone = false
    private var transformer: any ResponseTransformer
    private var isBroken = false

    init(_ transformer: any ResponseTransformer) { self.transformer = transformer }

    mutating func receive(_ chunk: ByteBuffer) throws(GatewayError) -> ByteBuffer? {
        guard !isBroken else { return nil }
        do {
            switch try transformer.onChunk(chunk) {
            case .pass: return chunk
            case .withhold: return nil
            case .replace(let bytes): return bytes.readableBytes == 0 ? nil : bytes
            }
        } catch {
            isBroken = true
            throw error
        }
    }

    mutating func finish(_ end: ResponseEnd) async -> (tail: ByteBuffer?, error: GatewayError?) {
        do {
            switch try await transformer.onEnd(end) {
            case .nothing: return (nil, nil)
            case .bytes(let bytes): return (bytes, nil)
            case .events(let events):
                var output: ByteBuffer?
                for event in events { append(event.raw, to: &output) }
                return (output, nil)
            }
        } catch {
            return (nil, error as? GatewayError ?? .internalError(String(reflecting: error)))
        }
    }
}

extension ResponseEnd {
    /// The end for those further out when `error` came up; the first error is noted. A client that left stays so.
    mutating func fail(_ error: GatewayError, noting failure: inout GatewayError?) {
        failure = failure ?? error
        if case .clientLeft = self { return }
        self = .failed(error)
    }
}

/// Adds `bytes` to what there is of `output`; the first piece is taken as it is, without a copy.
func append(_ bytes: ByteBuffer, to output: inout ByteBuffer?) {
    if output == nil { output = bytes } else { output?.writeImmutableBuffer(bytes) }
}
