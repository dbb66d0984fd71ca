import NIOCore
import OpenAIWire
import Testing
import TurnpikeTesting

@Suite struct ServerSentEventTests {
    private static let streams = [
        "data: {\"a\":1}\n\ndata: [DONE]\n\n",
        "data: {\"a\":1}\r\n\r\ndata: x\r\n\r\nrest",
        "data: a\r\rdata: b\r\r",
        "\u{FEFF}data: bom\n\n: comment\n\nevent: error\ndata: 1\ndata: 2\ndata:3\n\nid: 7\nretry: 1\n\n",
        "\n\n\r\n\rdata\n\ndata:\n\ndatax: 1\n\ndata : 1\n\nunfinished\r",
        "event: a\r\ndata: mixed\n\r\ndata: b\r\n\ndata: c\n\r\r\n\r\n",
        "data: é世界😀 \u{2028}\n\n",
    ]

    /// Events and the rest, with the input cut at `cuts`.
    private func parse(
        _ bytes: ByteBuffer, cuts: [Int] = []
    ) throws -> (events: [ServerSentEvent], rest: ByteBuffer) {
        var parser = ServerSentEventParser(maxEventBytes: 1 << 20)
        var events: [ServerSentEvent] = []
        var start = 0
        for end in cuts.sorted() + [bytes.readableBytes] {
            parser.append(try #require(bytes.getSlice(at: start, length: end - start)))
            while let event = try parser.next() { events.append(event) }
            start = end
        }
        return (events, parser.finish())
    }

    private func joined(_ parsed: (events: [ServerSentEvent], rest: ByteBuffer)) -> String {
        parsed.events.map(\.raw.utf8Text).joined() + parsed.rest.utf8Text
    }

    @Test func readsNamesDataAndComments() throws {
        let text = ": hi\n\nevent: error\r\ndata: 1\ndata:  2\nid: 3\n\ndata\n\ndata: [DONE]\n\ndata: [DONE]x\n\n"
        let events = try parse(ByteBuffer(string: text)).events
        #expect(events.map { $0.data?.utf8Text } == [nil, "1\n 2", "", "[DONE]", "[DONE]x"])
        #expect(events.map(\.name) == [nil, "error", nil, nil, nil])
        #expect(events.map(\.isDone) == [false, false, false, true, false])
    }

    @Test(arguments: streams) func cutsTheSameEventsWhereverTheStreamIsSplit(text: String) throws {
        let bytes = ByteBuffer(string: text)
        let whole = try parse(bytes)
        #expect(joined(whole) == text)
        let single = try parse(bytes, cuts: Array(1..<bytes.readableBytes))
        #expect(single.events == whole.events)
        #expect(single.rest == whole.rest)
        for cut in 1..<bytes.readableBytes {
            let halves = try parse(bytes, cuts: [cut])
            #expect(halves.events == whole.events)
            #expect(halves.rest == whole.rest)
        }
    }

    @Test func cutsRandomStreamsTheSameWhereverTheyAreSplit() throws {
        var generator = SeededGenerator(seed: 1)
        let pieces = [
            "\n", "\r", "\r\n", "\n\n", "\r\n\r\n", "data: x", "event: e", ": c", "data:", "é", "\0", "\u{FEFF}",
        ]
        for _ in 0..<2_000 {
            let text = (0..<Int.random(in: 1..<24, using: &generator)).map { _ in
                pieces.randomElement(using: &generator)!
            }.joined()
            let bytes = ByteBuffer(string: text)
            let whole = try parse(bytes)
            let cuts = (0..<3).map { _ in Int.random(in: 0...bytes.readableBytes, using: &generator) }
            let split = try parse(bytes, cuts: cuts)
            #expect(joined(whole) == text)
            #expect(split.events == whole.events && split.rest == whole.rest)
        }
    }

    @Test func handsOutAnEventOfBareCarriageReturnsAtOnce() throws {
        var parser = ServerSentEventParser(maxEventBytes: 100)
        parser.append(ByteBuffer(string: "data: a\r\r"))
        #expect(try parser.next()?.data?.utf8Text == "a")
    }

    @Test func keepsACRLFTogetherThatIsSplit() throws {
        var parser = ServerSentEventParser(maxEventBytes: 100)
        parser.append(ByteBuffer(string: "data: a\r\n\r"))
        #expect(try parser.next() == nil)
        parser.append(ByteBuffer(string: "\ndata: b"))
        #expect(try parser.next()?.raw.utf8Text == "data: a\r\n\r\n")
        #expect(try parser.next() == nil)
        #expect(parser.finish().utf8Text == "data: b")
    }

    @Test func sharesTheMemoryOfAChunkThatHoldsTheWholeEvent() throws {
        let chunk = ByteBuffer(string: "data: begun\n\ndata: within\n\ndata: ends later")
        func address(_ buffer: ByteBuffer) -> UInt {
            buffer.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
        }
        var parser = ServerSentEventParser(maxEventBytes: 100)
        parser.append(ByteBuffer(string: "da"))
        #expect(try parser.next() == nil)
        parser.append(try #require(chunk.getSlice(at: 2, length: chunk.readableBytes - 2)))
        #expect(try parser.next()?.data?.utf8Text == "begun")
        let event = try #require(try parser.next())
        #expect(address(event.raw) == address(chunk) + 13)
        #expect(address(try #require(event.data)) == address(chunk) + 19)
    }

    @Test func refusesAnEventAboveTheBoundAndGivesItsBytesBack() throws {
        for chunkSize in [1, 7, 200] {
            var parser = ServerSentEventParser(maxEventBytes: 20)
            let text = "data: ok\n\ndata: " + String(repeating: "x", count: 60) + "\n\ndata: ok\n\n"
            var events = 0
            var failed = false
            for start in stride(from: 0, to: text.utf8.count, by: chunkSize) {
                parser.append(ByteBuffer(string: String(text.dropFirst(start).prefix(chunkSize))))
                do { while try parser.next() != nil { events += 1 } } catch { failed = error.exceedsLimit }
            }
            #expect(failed && events == 1)
            #expect(throws: WireError.self) { try parser.next() }
            #expect(parser.finish().utf8Text == String(text.dropFirst(10)))
        }
    }

    @Test func staysLinearOverAMegabyteFedByteByByte() throws {
        let line = "data: " + String(repeating: "y", count: 500_000) + "\r\n"
        let bytes = ByteBuffer(string: line + line + "\r\n")
        let parsed = try parse(bytes, cuts: Array(1..<bytes.readableBytes).filter { $0 < 20_000 || $0 % 16 == 0 })
        #expect(parsed.events.map { $0.data?.readableBytes } == [1_000_001])
    }

    @Test func staysLinearWhereOneKindOfLineEndIsMissing() throws {
        for end in ["\r", "\n"] {
            let bytes = ByteBuffer(string: String(repeating: "data: z\(end)\(end)", count: 100_000))
            #expect(try parse(bytes).events.count == 100_000)
        }
    }

    @Test func serialisesEventsThatReadBackTheSame() throws {
        for text in ["{}", "", "a\nb", "a\r\nb\rc", "\n", " x"] {
            let event = ServerSentEvent(data: ByteBuffer(string: text), name: "error")
            let parsed = try parse(event.raw)
            #expect(parsed.events == [event] && parsed.rest.readableBytes == 0)
            let normal = text.replacing("\r\n", with: "\n").replacing("\r", with: "\n")
            #expect(event.data?.utf8Text == normal)
            #expect(event.name == "error")
        }
        #expect(ServerSentEvent(data: ByteBuffer(string: "x")).raw.utf8Text == "data: x\n\n")
    }

    @Test func replacesTheDataAndKeepsTheOtherLines() throws {
        let event = try #require(try parse(ByteBuffer(string: ": c\r\ndata:1\r\nid: 4\r\n\r\n")).events.first)
        #expect(event.replacingData(ByteBuffer(string: "22")).raw.utf8Text == ": c\r\ndata:22\r\nid: 4\r\n\r\n")
        let several = try #require(try parse(ByteBuffer(string: "data:1\ndata:2\n\n")).events.first)
        #expect(several.replacingData(ByteBuffer(string: "3")).raw.utf8Text == "data: 3\n\n")
    }
}
