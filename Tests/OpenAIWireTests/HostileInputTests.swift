import NIOCore
import OpenAIWire
import Testing
import TurnpikeTesting

/// Whatever bytes come, no parser traps, and those that agree on a text agree on what it says.
@Suite struct HostileInputTests {
    private static let seeds = [
        #"{"model":"m","stream":true,"n":1,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":[{"type":"text","text":"h\u00e9\ud83d\ude00"},{"type":"image_url","image_url":{"url":"data:image/png;base64,QUJD"}}]},{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":[1.50,-2e3]}"}}]}],"session_id":"s"}"#,
        #"{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"x","tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]},"logprobs":{"content":[{"token":"x"}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens_details":{"reasoning_tokens":2}}}"#,
        #"{"role":"user","content":"\"\\\/\b\f\n\r\t","name":"é😀","tool_call_id":"1","audio":{"id":"2"}}"#,
        #"{"error":{"message":"m","code":1,"param":null}}"#,
        "data: {\"a\":1}\r\n\r\nevent: e\ndata: 1\ndata: 2\n\n: c\r\rdata: [DONE]\n\n",
    ].map { Array($0.utf8) }

    private static let spice = Array("\"\\{}[]:,0e-.tfnu\n\r\0 d\u{7F}".utf8) + [0x80, 0xC3, 0xE2, 0xED, 0xF0, 0xFF]

    /// A seed with some bytes changed, removed, repeated or cut.
    private func mutated(_ generator: inout SeededGenerator) -> [UInt8] {
        var bytes = Self.seeds.randomElement(using: &generator)!
        for _ in 0..<Int.random(in: 1...4, using: &generator) where !bytes.isEmpty {
            let at = Int.random(in: 0..<bytes.count, using: &generator)
            switch Int.random(in: 0..<6, using: &generator) {
            case 0, 1: bytes[at] = Self.spice.randomElement(using: &generator)!
            case 2: bytes.insert(Self.spice.randomElement(using: &generator)!, at: at)
            case 3: bytes.remove(at: at)
            case 4: bytes.removeSubrange(at..<min(at + Int.random(in: 1...20, using: &generator), bytes.count))
            default: bytes.insert(contentsOf: bytes[at..<min(at + 8, bytes.count)], at: at)
            }
        }
        return bytes
    }

    @Test func survivesMutatedInputs() throws {
        var generator = SeededGenerator(seed: 7)
        var valid = 0
        for _ in 0..<20_000 {
            let bytes = ByteBuffer(bytes: mutated(&generator))
            if try exercise(bytes) { valid += 1 }
        }
        // Neither all nor none: the mutations reach behind the first check.
        #expect(valid > 500 && valid < 15_000)
    }

    /// Feeds every parser; true for valid JSON.
    private func exercise(_ bytes: ByteBuffer) throws -> Bool {
        let isValid = (try? JSON.validate(bytes)) != nil
        let object = try? JSONObject(scanning: bytes)
        if isValid, bytes.readableBytesView.first == UInt8(ascii: "{") { #expect(object != nil) }
        if let object { try exercise(object, isValid: isValid) }
        if let request = try? ChatRequest(scanning: bytes), let messages = try? request.messages() {
            for message in messages { _ = try? MessageDigest(message) }
        }
        _ = try? MessageDigest(messageJSON: bytes)
        _ = ErrorEnvelope(parsing: bytes)
        _ = try? ChatCompletion(scanning: bytes)
        var deltas = DeltaAccumulator(limit: 100_000, keepsLogprobs: true)
        if (try? deltas.add(bytes)) != nil, (try? deltas.add(bytes)) != nil {
            for partial in [false, true] {
                if let message = deltas.message(partial: partial) { try JSON.validate(message) }
            }
            if let logprobs = deltas.logprobs() { try JSON.validate(logprobs) }
        }
        try exerciseEvents(bytes)
        return isValid
    }

    private func exercise(_ object: JSONObject, isValid: Bool) throws {
        let members = object.all
        for (key, value) in members {
            _ = (value.string, value.text, value.int, value.double, value.bool)
            _ = try? value.array()
            #expect(!isValid || object[key] != nil)
        }
        let edited = object.edited([
            .remove("model"), .replace("messages", ByteBuffer(string: "[]")), .set("id", ByteBuffer(string: "1")),
            .insert("x", ByteBuffer(string: "{}")),
        ])
        guard isValid else { return }
        try JSON.validate(edited)
        let again = try JSONObject(scanning: edited)
        #expect(again["model"] == nil && again["id"]?.int == 1 && again["x"] != nil)
        let rest = members.filter { !["model", "messages", "id", "x"].contains($0.key) }.map(\.value)
        #expect(rest == again.all.filter { !["model", "messages", "id", "x"].contains($0.key) }.map(\.value))
    }

    private func exerciseEvents(_ bytes: ByteBuffer) throws {
        var parser = ServerSentEventParser(maxEventBytes: 1 << 20)
        parser.append(bytes)
        var joined = ByteBuffer()
        while let event = try parser.next() { joined.writeImmutableBuffer(event.raw) }
        joined.writeImmutableBuffer(parser.finish())
        #expect(joined == bytes)
    }

    @Test(arguments: [
        "[", "{\"a\":", "\"", "\\", "[{\"a\":[", "{\"role\":\"", "\0", "\u{FEFF}", "1", "-", "data:", "\r", "\n",
    ])
    func survivesLongRunsOf(unit: String) throws {
        let bytes = ByteBuffer(string: String(repeating: unit, count: 300_000 / unit.utf8.count))
        _ = try exercise(bytes)
        let wrapped = #"{"role":"user","messages":"# + bytes.utf8Text
        _ = try exercise(ByteBuffer(string: wrapped))
    }
}
