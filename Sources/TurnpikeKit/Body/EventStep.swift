import NIOCore
import NIOHTTP1
import OpenAIWire

/// Neighbouring transformers that share one parsing of the event stream.
struct EventStep: PipelineStep {
    private var transformers: [any ResponseTransformer]
    private var parser = ServerSentEventParser(maxEventBytes: EventStep.maxEventBytes)
    /// Which transformer has thrown: nothing passes it any more.
    private var brokenIndex: Int?
    private(set) var isDone = false
    /// What was let through of a chunk before a transformer failed at a later event of it.
    private var stranded: ByteBuffer?

    /// One event may carry an image; more than this is no event stream any more.
    private static let maxEventBytes = 32 << 20
    /// What is kept of an unfinished event without being counted: as much as one read of the network may bring.
    private static let uncountedBytes = 64 << 10
    private let budget: BufferBudget?
    private var reservation: BufferReservation?

    init(_ transformers: [any ResponseTransformer], budget: BufferBudget?) {
        self.transformers = transformers
        self.budget = budget
    }

    mutating func receive(_ chunk: ByteBuffer) throws(GatewayError) -> ByteBuffer? {
        parser.append(chunk)
        var output: ByteBuffer?
        do {
            while let event = try nextEvent() {
                isDone = isDone || event.isDone
                try emit(event, from: 0, into: &output)
            }
            try countUnfinished()
        } catch {
            stranded = output
            throw error
        }
        return output
    }

    private mutating func countUnfinished() throws(GatewayError) {
        let bytes = parser.unfinishedBytes
        guard bytes > Self.uncountedBytes else {
            reservation = nil
            return
        }
        if reservation == nil { reservation = BufferReservation(budget) }
        try reservation?.cover(bytes)
    }

    mutating func finish(_ end: ResponseEnd) async -> (tail: ByteBuffer?, error: GatewayError?) {
        var end = end
        var output = stranded
        var failure: GatewayError?
        for index in transformers.indices {
            do {
                switch try await transformers[index].onEnd(end) {
                case .nothing: break
                case .bytes(let bytes): try emit(parsing: bytes, from: index + 1, into: &output)
                case .events(let events):
                    for event in events { try emit(event, from: index + 1, into: &output) }
                }
            } catch {
                end.fail(error as? GatewayError ?? .internalError(String(reflecting: error)), noting: &failure)
            }
        }
        // What no blank line has ended goes on behind everything else, where it stood. Half an event of a body that
        // broke off is dropped: it would run into the error event that follows.
        if case .complete = end { appendRest(to: &output) }
        return (output, failure)
    }

    private mutating func appendRest(to output: inout ByteBuffer?) {
        let rest = parser.finish()
        if rest.readableBytes > 0 { append(rest, to: &output) }
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

    /// Shows the event to the transformers from `first` on; what the last one lets through is output.
    private mutating func emit(_ event: ServerSentEvent, from first: Int, into output: inout ByteBuffer?)
        throws(GatewayError)
    {
        for index in first..<transformers.count {
            guard index != brokenIndex else { return }
            switch try act(on: event, index) {
            case .pass: continue
            case .withhold: return
            case .replace(let events):
                for event in events { try emit(event, from: index + 1, into: &output) }
                return
            }
        }
        append(event.raw, to: &output)
    }

    /// The same for bytes that a transformer has made.
    private mutating func emit(parsing bytes: ByteBuffer, from first: Int, into output: inout ByteBuffer?)
        throws(GatewayError)
    {
        // Nobody is left to see them, so they need no parsing.
        guard first < transformers.count else { return append(bytes, to: &output) }
        var events = ServerSentEventParser(maxEventBytes: bytes.readableBytes)
        events.append(bytes)
        while let event = try? events.next() { try emit(event, from: first, into: &output) }
        let rest = events.finish()
        if rest.readableBytes > 0 { append(rest, to: &output) }
    }

    private mutating func act(on event: ServerSentEvent, _ index: Int) throws(GatewayError) -> EventAction {
        do {
            return try transformers[index].onEvent(event)
        } catch {
            brokenIndex = index
            throw error
        }
    }
}
