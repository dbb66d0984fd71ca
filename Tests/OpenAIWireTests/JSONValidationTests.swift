import NIOCore
import OpenAIWire
import Testing

@Suite struct JSONValidationTests {
    private func isValid(_ bytes: [UInt8]) -> Bool {
        (try? JSON.validate(ByteBuffer(bytes: bytes))) != nil
    }

    @Test(arguments: [
        "null", " true ", "-0", "0.5e-10", "1E+2", #""""#, "[]", "{}", "[ ]", "{ }", "[[],[{}],{\"a\":[]}]",
        #"{"a":1,"b":[1,2,{"c":null}]}"#, #""\u0000\"\\\/\b\f\n\r\t\ud800 12345678 é 世界 😀""#, "\"\u{7F}\u{2028}\"",
    ])
    func acceptsJSON(text: String) throws {
        try JSON.validate(ByteBuffer(string: text))
    }

    @Test(arguments: [
        "", " ", "nul", "truex", "[", "]", "{", "}", "[}", "{]", "[1,]", "[,1]", "[1 2]", "{\"a\"}", "{\"a\":}",
        "{\"a\":1,}",
        "{1:2}", "{\"a\":1 \"b\":2}", "1 2", "01", "1.", ".1", "-", "1e", "+1", "NaN", "'a'", "\"a", #""\x""#,
        #""\u12g4""#,
        #""\u12"#, "\"\n\"", "\"1234567\u{1}\"", "\"\0\"", "[1]]", "[[1]", "{\"a\":[1}", "\u{FEFF}1",
    ])
    func refusesWhatIsNotJSON(text: String) {
        #expect(!isValid(Array(text.utf8)))
    }

    @Test(
        arguments: [
            [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80],
            [0xF5, 0x80, 0x80, 0x80], [0xFF], [0xC3], [0xE2, 0x82], [0xF0, 0x9F, 0x98], [0xE2, 0x28, 0xA1],
        ] as [[UInt8]])
    func refusesBrokenUTF8AtEveryOffset(sequence: [UInt8]) {
        for padding in 0..<10 {
            let text = [0x22] + [UInt8](repeating: 0x61, count: padding) + sequence + [0x22]
            #expect(!isValid(text))
            #expect(!isValid(Array(text.dropLast())))
        }
    }

    @Test func findsABadByteAtEveryOffsetOfALongString() {
        for bad in [0x00, 0x1F, 0x0A, 0xFF] as [UInt8] {
            for offset in 1..<40 {
                var text = [UInt8](repeating: 0x61, count: 41)
                (text[0], text[40]) = (0x22, 0x22)
                #expect(isValid(text))
                text[offset] = bad
                #expect(!isValid(text))
            }
        }
    }

    @Test func boundsTheDepthWithoutRecursion() throws {
        func nested(_ depth: Int) -> ByteBuffer {
            ByteBuffer(
                string: String(repeating: #"[{"a":"#, count: depth / 2) + "1"
                    + String(repeating: "}]", count: depth / 2))
        }
        try JSON.validate(nested(JSON.maximumDepth))
        let error = try #require(throws: WireError.self) { try JSON.validate(nested(JSON.maximumDepth + 2)) }
        #expect(error.exceedsLimit)
        #expect(throws: WireError.self) {
            try JSON.validate(ByteBuffer(string: String(repeating: "[", count: 1_000_000)))
        }
    }

    @Test func acceptsWhatRealClientsSendAndNoPrefixOfIt() throws {
        #expect(Recording.all.count > 80)
        for recording in Recording.all where recording.body.readableBytes < 4_000 {
            try JSON.validate(recording.body)
            for length in stride(from: 0, to: recording.body.readableBytes, by: 7) {
                let prefix = try #require(recording.body.getSlice(at: 0, length: length))
                #expect(throws: WireError.self) { try JSON.validate(prefix) }
            }
        }
    }
}
