import Logging
import NIOCore
import NIOEmbedded
import NIOHTTP1
import OpenAIWire
import Synchronization

@testable import TurnpikeKit

/// What happened, in order.
final class Journal: Sendable {
    private let stored = Mutex<[String]>([])
    var entries: [String] { stored.withLock { $0 } }
    func note(_ entry: String) { stored.withLock { $0.append(entry) } }
}

/// A body whose pieces the test delivers by hand, or all at once from within `start`.
final class ScriptedSource: BodySource {
    private let sink = Mutex<(any BodySink)?>(nil)
    private let journal = Journal()
    private let atOnce: [ByteBuffer]?
    private let whereCancelled: (@Sendable () -> Bool)?

    init(atOnce: [String]? = nil, isRightPlace: (@Sendable () -> Bool)? = nil) {
        self.atOnce = atOnce?.map(ByteBuffer.init(string:))
        self.whereCancelled = isRightPlace
    }

    /// `start`, `cancel`, `paused`, `resumed`, in the order of the calls.
    var calls: [String] { journal.entries }

    func start(_ sink: any BodySink) {
        journal.note("start")
        self.sink.withLock { $0 = sink }
        guard let atOnce else { return }
        for piece in atOnce { sink.receive(piece) }
        end()
    }

    func setPaused(_ isPaused: Bool) { journal.note(isPaused ? "paused" : "resumed") }

    func cancel() {
        journal.note(whereCancelled?() == false ? "cancel elsewhere" : "cancel")
        sink.withLock { $0 = nil }
    }

    /// Delivers even after a cancellation if `sink` was taken before: the races are the collector's to survive.
    func deliver(_ text: String) { current?.receive(ByteBuffer(string: text)) }
    func end(_ end: BodyEnd = .complete) {
        let sink = sink.withLock { sink in
            defer { sink = nil }
            return sink
        }
        sink?.end(end)
    }
    var current: (any BodySink)? { sink.withLock { $0 } }
}

/// A middleware from a closure.
struct Step: Middleware {
    let body: @Sendable (Request, Exchange, Next) async throws -> Response
    init(_ body: @escaping @Sendable (Request, Exchange, Next) async throws -> Response) { self.body = body }
    func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
        try await body(request, exchange, next)
    }
}

/// A transformer from closures, which notes its ends as `<name> <end>`.
struct Probe: ResponseTransformer {
    var name = "probe"
    var journal = Journal()
    var subscription = ResponseSubscription.events
    var chunk: @Sendable (ByteBuffer) throws(GatewayError) -> ChunkAction = { _ in .pass }
    var event: @Sendable (ServerSentEvent) throws(GatewayError) -> EventAction = { _ in .pass }
    var tail: @Sendable (ResponseEnd) async throws -> ResponseTail = { _ in .nothing }

    mutating func onChunk(_ bytes: ByteBuffer) throws(GatewayError) -> ChunkAction { try chunk(bytes) }
    mutating func onEvent(_ event: ServerSentEvent) throws(GatewayError) -> EventAction { try self.event(event) }
    mutating func onEnd(_ end: ResponseEnd) async throws -> ResponseTail {
        journal.note("\(name) \(end.word)")
        return try await tail(end)
    }
}

/// Keeps every event and gives them back at the end, as `capture` does with the last ones.
struct Withholder: ResponseTransformer {
    var kept: [ServerSentEvent] = []
    let subscription = ResponseSubscription.events
    mutating func onEvent(_ event: ServerSentEvent) throws(GatewayError) -> EventAction {
        kept.append(event)
        return .withhold
    }
    mutating func onEnd(_ end: ResponseEnd) async throws -> ResponseTail { .events(kept) }
}

extension ResponseEnd {
    var word: String {
        switch self {
        case .complete: "complete"
        case .failed(let error): "failed:\(error.code)"
        case .clientLeft: "clientLeft"
        }
    }
}

func makeExchange(
    _ target: String = "/",
    logger: Logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, flags: any FlagEvaluator = NoFlags(),
    budget: BufferBudget? = nil
) -> Exchange {
    Exchange(
        head: RequestHead(method: .GET, target: target), eventLoop: EmbeddedEventLoop(), logger: logger, flags: flags,
        budget: budget)
}

extension GatewayError {
    static func test(_ code: String) -> GatewayError { .badRequest(code, "Made by a test.") }
}

/// The code of the gateway error that `work` throws; `nil` if it throws none.
func failureCode(_ work: () async throws -> some Any) async -> String? {
    do {
        _ = try await work()
        return nil
    } catch {
        return (error as? GatewayError)?.code ?? "\(error)"
    }
}

extension Response {
    /// The body's text, where it is bytes.
    var text: String? {
        if case .bytes(let bytes) = body { String(buffer: bytes) } else { nil }
    }
}

/// A logger whose lines go to a journal: message, then metadata values by key.
func makeLogger(_ journal: Journal) -> Logger { Logger(label: "test") { _ in JournalHandler(journal: journal) } }

private struct JournalHandler: LogHandler {
    let journal: Journal
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        journal.note(
            ([event.message.description] + all.sorted { $0.key < $1.key }.map { "\($0)=\($1)" }).joined(separator: " "))
    }
}
