package import NIOCore
import NIOHTTP1
import OpenAIWire

/// The transformers of one response, applied in order from the innermost to the outermost.
///
/// Neighbours that want events share one parser. A transformer that wants bytes between two that want events splits
/// them into two groups, so each always sees what its inner neighbour let through.
package struct ResponsePipeline: Sendable {
    private var steps: [PipelineStep] = []

    package init(_ transformers: [any ResponseTransformer], isEventStream: Bool) {
        for transformer in transformers {
            switch (transformer.subscription, isEventStream) {
            case (.events, true):
                if case .events(var group)? = steps.last {
                    group.transformers.append(transformer)
                    steps[steps.count - 1] = .events(group)
                } else {
                    steps.append(.events(EventGroup(transformers: [transformer])))
                }
            case (.bytes, _), (.events, false): steps.append(.bytes(transformer))
            }
        }
    }

    package var isEmpty: Bool { steps.isEmpty }

    /// Passes a chunk through; `nil` when nothing of it goes on now.
    package mutating func receive(_ chunk: ByteBuffer) throws(GatewayError) -> ByteBuffer? {
        try pass(chunk, from: 0)
    }

    /// Ends every transformer, the innermost first; each one's tail passes through those outside it.
    ///
    /// An error ends the body with that error for the transformers further out, whose ends are still called.
    package mutating func finish(_ end: ResponseEnd) async -> (bytes: ByteBuffer?, error: GatewayError?) {
        var end = end
        var failure: GatewayError?
        var output: ByteBuffer?
        for index in steps.indices {
            do {
                let tail = try await steps[index].finish(end)
                if let tail, let passed = try pass(tail, from: index + 1) { append(passed, to: &output) }
            } catch {
                let error = error as? GatewayError ?? .internalError("\(error)")
                failure = failure ?? error
                if case .clientLeft = end {} else { end = .failed(error) }
            }
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

private enum PipelineStep: Sendable {
    case bytes(any ResponseTransformer)
    case events(EventGroup)

    mutating func receive(_ chunk: ByteBuffer) throws(GatewayError) -> ByteBuffer? {
        switch self {
        case .bytes(var transformer):
            self = .vacant
            defer { self = .bytes(transformer) }
            switch try transformer.onChunk(chunk) {
            case .pass: return chunk
            case .withhold: return nil
            case .replace(let bytes): return bytes.readableBytes == 0 ? nil : bytes
            }
        case .events(var group):
            self = .vacant
            defer { self = .events(group) }
            return try group.receive(chunk)
        }
    }

    mutating func finish(_ end: ResponseEnd) async throws -> ByteBuffer? {
        switch self {
        case .bytes(var transformer):
            switch try await transformer.onEnd(end) {
            case .nothing: return nil
            case .bytes(let bytes): return bytes
            case .events(let events): return joined(events)
            }
        case .events(var group): return try await group.finish(end)
        }
    }

    /// Stands in while a step works on its value in place, so that nothing is copied.
    private static var vacant: PipelineStep { .events(EventGroup(transformers: [])) }
}

/// Neighbouring transformers that share one parsing of the event stream.
private struct EventGroup: Sendable {
    var transformers: [any ResponseTransformer]
    private var parser = ServerSentEventParser(maxEventBytes: EventGroup.maxEventBytes)

    /// One event may carry an image; more than this is no event stream any more.
    static let maxEventBytes = 32 << 20

    init(transformers: [any ResponseTransformer]) { self.transformers = transformers }

    mutating func receive(_ chunk: ByteBuffer) throws(GatewayError) -> ByteBuffer? {
        parser.append(chunk)
        var output: ByteBuffer?
        while let event = try nextEvent() { try emit(event, from: 0, into: &output) }
        return output
    }

    private mutating func nextEvent() throws(GatewayError) -> ServerSentEvent? {
        do {
            return try parser.next()
        } catch {
            throw GatewayError(
                .upstream, .badGateway, code: "upstream_protocol_error",
                "The upstream's event stream cannot be read.", detail: "\(error)", retry: .unsafe)
        }
    }

    private mutating func emit(_ event: ServerSentEvent, from first: Int, into output: inout ByteBuffer?)
        throws(GatewayError)
    {
        for index in first..<transformers.count {
            switch try transformers[index].onEvent(event) {
            case .pass: continue
            case .withhold: return
            case .replace(let events):
                for event in events { try emit(event, from: index + 1, into: &output) }
                return
            }
        }
        append(event.raw, to: &output)
    }

    mutating func finish(_ end: ResponseEnd) async throws -> ByteBuffer? {
        var end = end
        var output: ByteBuffer?
        var failure: GatewayError?
        for index in transformers.indices {
            do {
                switch try await transformers[index].onEnd(end) {
                case .nothing: break
                case .bytes(let bytes): append(bytes, to: &output)
                case .events(let events):
                    for event in events { try emit(event, from: index + 1, into: &output) }
                }
            } catch {
                let error = error as? GatewayError ?? .internalError("\(error)")
                failure = failure ?? error
                if case .clientLeft = end {} else { end = .failed(error) }
            }
        }
        if let failure { throw failure }
        let rest = parser.finish()
        if rest.readableBytes > 0 { append(rest, to: &output) }
        return output
    }
}

private func append(_ bytes: ByteBuffer, to output: inout ByteBuffer?) {
    if output == nil { output = bytes } else { output?.writeImmutableBuffer(bytes) }
}

private func joined(_ events: [ServerSentEvent]) -> ByteBuffer? {
    var output: ByteBuffer?
    for event in events { append(event.raw, to: &output) }
    return output
}
