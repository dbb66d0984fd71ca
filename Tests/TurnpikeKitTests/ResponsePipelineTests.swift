import NIOCore
import OpenAIWire
import Testing

@testable import TurnpikeKit

@Suite struct ResponsePipelineTests {
    /// A stream with everything in it that a relay may trip over: comments, CRLF, bare CR, several lines of data, an
    /// empty event, UTF-8 of all lengths, and an end without its blank line.
    private static let stream =
        ": hello\n\ndata: {\"a\":1}\n\ndata: é€😀\r\n\r\nevent: x\ndata: 1\ndata: 2\n\n\n\nid: 7\rdata: cr\r\rdata: [DONE]\n"

    /// The same bytes whole, in pieces of 7, and byte by byte.
    private static let splits: [[String.UTF8View.SubSequence]] = [stream.utf8.count, 7, 1].map { size in
        var rest = stream.utf8[...]
        var pieces: [String.UTF8View.SubSequence] = []
        while !rest.isEmpty {
            pieces.append(rest.prefix(size))
            rest = rest.dropFirst(size)
        }
        return pieces
    }

    private func run(_ pipeline: ResponsePipeline, _ pieces: [some Sequence<UInt8>]) async throws -> String {
        var pipeline = pipeline
        var output = ByteBuffer()
        for piece in pieces {
            if let passed = try pipeline.receive(ByteBuffer(bytes: Array(piece))) {
                output.writeImmutableBuffer(passed)
            }
        }
        let tail = await pipeline.finish(.complete)
        if let error = tail.error { throw error }
        if let bytes = tail.bytes { output.writeImmutableBuffer(bytes) }
        return String(buffer: output)
    }

    private func run(_ transformers: [any ResponseTransformer], _ text: String, isEventStream: Bool = true) async throws
        -> String
    {
        try await run(ResponsePipeline(transformers, isEventStream: isEventStream), [text.utf8])
    }

    @Test(arguments: 0..<3, 1...3)
    func bytesPassUnchangedHoweverTheyAreSplit(split: Int, depth: Int) async throws {
        let bytes = Probe(subscription: .bytes)
        let transformers: [any ResponseTransformer] = Array([Probe(), bytes, Probe()].prefix(depth))
        let output = try await run(ResponsePipeline(transformers, isEventStream: true), Self.splits[split])
        #expect(output == Self.stream)
    }

    @Test(arguments: 0..<3)
    func withheldEventsComeBackInTheirPlaceHoweverTheyAreSplit(split: Int) async throws {
        let pipeline = ResponsePipeline([Probe(), Withholder(), Probe()], isEventStream: true)
        #expect(try await run(pipeline, Self.splits[split]) == Self.stream)
    }

    @Test func manyEventsInOneChunkPassInOneChunk() throws {
        var pipeline = ResponsePipeline([Probe()], isEventStream: true)
        let chunk = ByteBuffer(string: "data: 1\n\ndata: 2\n\ndata: 3\n\ndata: half")
        #expect(try pipeline.receive(chunk).map { String(buffer: $0) } == "data: 1\n\ndata: 2\n\ndata: 3\n\n")
        #expect(try pipeline.receive(ByteBuffer(string: "\n\nd")).map { String(buffer: $0) } == "data: half\n\n")
    }

    @Test func anEventTransformerSeesChunksOfABodyThatIsNoEventStream() async throws {
        let probe = Probe(chunk: { _ in .replace(ByteBuffer(string: "seen")) })
        #expect(try await run([probe], "{}", isEventStream: false) == "seen")
    }

    @Test func anEventMayBeReplacedBySeveralOrWithheld() async throws {
        let doubling = Probe(event: { event in .replace([event, event]) })
        let dropping = Probe(event: { event in event.isDone ? .withhold : .pass })
        #expect(try await run([doubling, dropping], "data: 1\n\ndata: [DONE]\n\n") == "data: 1\n\ndata: 1\n\n")
    }

    @Test func withheldChunksGoNoFurtherAndReplacedOnesDo() async throws {
        let picky = Probe(
            subscription: .bytes,
            chunk: { $0.readableBytes == 1 ? .withhold : .replace(ByteBuffer(string: "<\(String(buffer: $0))>")) })
        let pipeline = ResponsePipeline([picky], isEventStream: false)
        #expect(try await run(pipeline, ["a".utf8, "bc".utf8, "d".utf8]) == "<bc>")
    }

    @Test func eachTransformerSeesWhatItsInnerNeighbourLetThrough() async throws {
        let renaming = { (subscription: ResponseSubscription, old: String, new: String) in
            Probe(
                subscription: subscription,
                chunk: { chunk in
                    let text = String(buffer: chunk)
                    guard let place = text.firstRange(of: old) else { return .pass }
                    return .replace(ByteBuffer(string: text.replacingCharacters(in: place, with: new)))
                },
                event: { event in
                    guard let data = event.data, String(buffer: data) == old else { return .pass }
                    return .replace([event.replacingData(ByteBuffer(string: new))])
                })
        }
        let transformers: [any ResponseTransformer] = [
            renaming(.events, "a", "b"), renaming(.bytes, "b", "c"), renaming(.events, "c", "d"),
            renaming(.events, "d", "e"),
        ]
        #expect(try await run(transformers, "data: a\n\n") == "data: e\n\n")
    }

    @Test func aReplacementOfNothingIsNoChunk() throws {
        var pipeline = ResponsePipeline(
            [Probe(subscription: .bytes, chunk: { _ in .replace(ByteBuffer()) })], isEventStream: false)
        #expect(try pipeline.receive(ByteBuffer(string: "x")) == nil)
    }
}

extension String {
    fileprivate func replacingCharacters(in range: Range<Index>, with text: String) -> String {
        self[..<range.lowerBound] + text + self[range.upperBound...]
    }
}
