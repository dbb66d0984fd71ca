import NIOCore

import struct Crypto.SHA256

/// The bytes that a message digest is made of: for each thing that counts a tag, a length and its value.
///
/// Rules of version 1:
/// - Content: a string is one text part; a part counts by its type and payload. Missing, null, empty text and empty
///   lists are the same: clients write an assistant's absent content in each of these ways.
/// - Images, files and audio count by the SHA-256 of their decoded bytes; where they are only referred to, by the
///   reference. `detail`, file names and formats do not count.
/// - A `refusal` part does not count, as the field `refusal` does not.
/// - A part of unknown type counts with all it holds, as a JSON value.
/// - A tool call counts by id, name and arguments; arguments are compared as JSON values, an empty string as `{}`,
///   and as text where they are no JSON. A custom tool's input is text.
/// - An assistant's audio counts by its id, which is all that a client sends back of it.
struct CanonicalMessage {
    private(set) var bytes: [UInt8] = []

    /// - Parameter capacity: about how long the message is.
    init(capacity: Int = 0) {
        bytes.reserveCapacity(capacity + 64)
        bytes += "turnpike.message".utf8
        bytes.append(MessageDigest.version)
    }

    /// Encodes the message whose JSON is `message`.
    mutating func encode(_ message: ByteBuffer) throws(WireError) {
        let fields = try MessageFields(message)
        try text("r", fields.role)
        if let content = fields.content { try encode(content: content) }
        if let calls = try fields.toolCalls?.array() {
            for call in calls { try encode(toolCall: call) }
        }
        if let call = try fields.functionCall?.object() {
            bytes.append(tag: "f", [])
            try text("n", call.nonNull("name"))
            try encode(arguments: call.nonNull("arguments"))
        }
        if let audio = try fields.audio?.object() { try text("a", audio.nonNull("id")) }
        try text("t", fields.toolCallID)
        try text("N", fields.name)
    }

    /// A string by its characters, anything else by its JSON value.
    private mutating func text(_ tag: Unicode.Scalar, _ value: JSONValue?) throws(WireError) {
        guard let value else { return }
        guard value.kind == .string else { return try json("j", value) }
        let isPlain = value.withEscapedText { text in
            guard !text.contains(ASCII.backslash, in: 0..<text.count) else { return false }
            bytes.append(tag: tag, text)
            return true
        }
        if !isPlain { bytes.append(tag: tag, try Self.unescaped(value)) }
    }

    private mutating func json(_ tag: Unicode.Scalar, _ value: JSONValue) throws(WireError) {
        let encoding: [UInt8]
        do {
            encoding = try value.bytes.withUnsafeReadableBytes { (text) throws(WireError) in
                try CanonicalJSON.encoding(text)
            }
        } catch {
            guard error.exceedsLimit else { throw error }
            return bytes.append(tag: "x", value.bytes.readableBytesView)
        }
        bytes.append(tag: tag, encoding)
    }

    private static func unescaped(_ value: JSONValue) throws(WireError) -> [UInt8] {
        guard let text = value.withEscapedText(JSONText.unescaped) else {
            throw .malformed(expected: "an escape", at: 0)
        }
        return text
    }
}

// MARK: - Content

extension CanonicalMessage {
    private mutating func encode(content: JSONValue) throws(WireError) {
        guard let parts = try content.array() else {
            if content.kind != .string || content.bytes.readableBytes > 2 { try text("T", content) }
            return
        }
        for part in parts { try encode(part: part) }
    }

    private mutating func encode(part: JSONValue) throws(WireError) {
        guard let object = try part.object() else { return try json("P", part) }
        switch object["type"]?.string {
        case "refusal":
            return
        case "text", "input_text", "output_text":
            guard let value = object["text"], value.kind == .string else { return try json("P", part) }
            if value.bytes.readableBytes > 2 { try text("T", value) }
        case "image_url":
            let url = try object["image_url"]?.object()?["url"] ?? object["image_url"]
            guard let url, url.kind == .string else { return try json("P", part) }
            try media("I", url, isBase64: false)
        case "input_audio":
            guard let data = try object["input_audio"]?.object()?["data"], data.kind == .string else {
                return try json("P", part)
            }
            try media("A", data, isBase64: true)
        case "file":
            try encode(file: try object["file"]?.object(), part)
        default:
            try json("P", part)
        }
    }

    private mutating func encode(file: JSONObject?, _ part: JSONValue) throws(WireError) {
        if let data = file?["file_data"], data.kind == .string {
            try media("F", data, isBase64: true)
        } else if let id = file?["file_id"], id.kind == .string {
            try text("D", id)
        } else {
            try json("P", part)
        }
    }

    /// The hash of what a data URL, or base64 where `isBase64`, stands for; another reference by its text.
    private mutating func media(_ tag: Unicode.Scalar, _ value: JSONValue, isBase64: Bool) throws(WireError) {
        let hash: [UInt8]? = value.withEscapedText { text in
            guard text.contains(ASCII.backslash, in: 0..<text.count) else {
                return Self.mediaHash(text, isBase64: isBase64)
            }
            return JSONText.unescaped(text)?.withUnsafeBytes { Self.mediaHash($0, isBase64: isBase64) }
        }
        if let hash { bytes.append(tag: tag, hash) } else { try text("U", value) }
    }

    private static func mediaHash(_ text: UnsafeRawBufferPointer, isBase64: Bool) -> [UInt8]? {
        var payload = text
        if text.count > 5, text.prefix(5).elementsEqual("data:".utf8, by: { $0 | 0x20 == $1 | 0x20 }) {
            guard let comma = text.first(ASCII.comma, from: 0) else { return nil }
            guard text[..<comma].suffix(7).elementsEqual(";base64".utf8, by: { $0 | 0x20 == $1 | 0x20 }) else {
                return nil
            }
            payload = text.slice(comma + 1..<text.count)
        } else if !isBase64 {
            return nil
        }
        var hasher = SHA256()
        guard Base64.decode(payload, { hasher.update(bufferPointer: $0) }) else { return nil }
        return Array(hasher.finalize())
    }
}

// MARK: - Tool calls

extension CanonicalMessage {
    private mutating func encode(toolCall call: JSONValue) throws(WireError) {
        guard let object = try call.object() else { return try json("C", call) }
        bytes.append(tag: "c", [])
        try text("i", object.nonNull("id"))
        if let custom = try object.nonNull("custom")?.object() {
            try text("m", custom.nonNull("name"))
            try text("p", custom.nonNull("input"))
        } else if let function = try object.nonNull("function")?.object() {
            try text("n", function.nonNull("name"))
            try encode(arguments: function.nonNull("arguments"))
        } else {
            try json("C", call)
        }
    }

    private mutating func encode(arguments: JSONValue?) throws(WireError) {
        guard let arguments else { return encodeNoArguments() }
        guard arguments.kind == .string else { return try json("g", arguments) }
        let text = try Self.unescaped(arguments)
        guard !text.isEmpty else { return encodeNoArguments() }
        let encoding = text.withUnsafeBytes { try? CanonicalJSON.encoding($0) }
        if let encoding { bytes.append(tag: "g", encoding) } else { bytes.append(tag: "G", text) }
    }

    private mutating func encodeNoArguments() {
        let encoding = Array("{}".utf8).withUnsafeBytes { try? CanonicalJSON.encoding($0) }
        bytes.append(tag: "g", encoding ?? [])
    }
}

/// The members of a message that count, null taken as missing; found in one pass, the last one of repeated keys.
private struct MessageFields {
    var role: JSONValue?
    var content: JSONValue?
    var toolCalls: JSONValue?
    var functionCall: JSONValue?
    var audio: JSONValue?
    var toolCallID: JSONValue?
    var name: JSONValue?

    init(_ message: ByteBuffer) throws(WireError) {
        try message.withUnsafeReadableBytes { (text) throws(WireError) in
            try JSONScanner.forEachMember(of: text) { scanner, key, value, kind in
                set(key, scanner, kind == .null ? nil : JSONValue(kind: kind, bytes: message.span(value)))
            }
        }
    }

    private mutating func set(_ key: Range<Int>, _ scanner: JSONScanner, _ value: JSONValue?) {
        if scanner.key(key, is: "role") {
            role = value
        } else if scanner.key(key, is: "content") {
            content = value
        } else if scanner.key(key, is: "tool_calls") {
            toolCalls = value
        } else if scanner.key(key, is: "tool_call_id") {
            toolCallID = value
        } else if scanner.key(key, is: "name") {
            name = value
        } else if scanner.key(key, is: "audio") {
            audio = value
        } else if scanner.key(key, is: "function_call") {
            functionCall = value
        }
    }
}
