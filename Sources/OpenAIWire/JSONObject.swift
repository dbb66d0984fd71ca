public import NIOCore

/// A JSON object as the text it came as and the places of its members.
///
/// Nothing is decoded or copied: reading takes a slice, editing splices, and what no edit names stays as it is, byte
/// for byte: unknown members, big numbers, the order, the white space. Keys are compared unescaped. Where a key
/// occurs more than once, the last one is read, as the common decoders do, and an edit changes all of them, so that no
/// other reader can find a value that was to be replaced.
public struct JSONObject: Sendable {
    /// One member's place in the text.
    struct Member {
        var key: Range<UInt32>
        var value: Range<UInt32>
        var kind: JSONValue.Kind
        var keyIsEscaped: Bool
    }

    /// The whole text, white space around the object included.
    public let bytes: ByteBuffer
    let members: [Member]

    /// Finds the members of the object that is the whole of `bytes`. The grammar is checked at this level only: what
    /// lies inside nested values is not, see `JSON.validate`.
    ///
    /// - Parameter maximumMembers: more are refused. Each look at a key passes all of them.
    public init(scanning bytes: ByteBuffer, maximumMembers: Int = JSON.maximumElements) throws(WireError) {
        self.bytes = bytes
        members = try bytes.withUnsafeReadableBytes { (text) throws(WireError) in
            try Self.scan(text, maximumMembers)
        }
    }

    private static func scan(_ text: UnsafeRawBufferPointer, _ maximum: Int) throws(WireError) -> [Member] {
        var scanner = JSONScanner(text)
        var members: [Member] = []
        members.reserveCapacity(12)
        var isFirst = true
        try scanner.enterObject()
        while let key = try scanner.nextKey(&isFirst) {
            guard members.count < maximum else { throw .tooLarge("members in an object", limit: maximum) }
            let start = scanner.position
            let kind = try scanner.skipValue()
            members.append(
                Member(
                    key: UInt32(key.lowerBound)..<UInt32(key.upperBound),
                    value: UInt32(start)..<UInt32(scanner.position), kind: kind,
                    keyIsEscaped: text.contains(ASCII.backslash, in: key)))
        }
        try scanner.expectEnd()
        return members
    }

    /// How many members there are, repeated keys included.
    public var count: Int { members.count }

    /// The first of `keys` that occurs more than once, however it is written; nil where none does.
    public func repeatedKey(among keys: [String]) -> String? {
        bytes.withUnsafeReadableBytes { text in
            var seen: UInt64 = 0
            for member in members {
                guard let index = keys.firstIndex(where: { Self.matches(member, $0, in: text) }) else { continue }
                if seen & (1 << UInt64(index)) != 0 { return keys[index] }
                seen |= 1 << UInt64(index)
            }
            return nil
        }
    }

    /// The value of `key`, the last one where it occurs more than once; nil where it is missing.
    public subscript(key: String) -> JSONValue? {
        bytes.withUnsafeReadableBytes { text in
            members.last { Self.matches($0, key, in: text) }
        }.map(value)
    }

    /// Whether there is a member `key`, whatever its value.
    public func contains(_ key: String) -> Bool {
        bytes.withUnsafeReadableBytes { text in members.contains { Self.matches($0, key, in: text) } }
    }

    /// Like the subscript, but nil for a value of `null` too: what most parameters mean by it.
    public func nonNull(_ key: String) -> JSONValue? {
        self[key].flatMap { $0.isNull ? nil : $0 }
    }

    /// Every member in the order of the text: its key, unescaped, and its value.
    public var all: [(key: String, value: JSONValue)] {
        members.map { member in
            let key = bytes.span(Int(member.key.lowerBound)..<Int(member.key.upperBound))
            return (key.withUnsafeReadableBytes(JSONText.string) ?? String(buffer: key), value(member))
        }
    }

    private func value(_ member: Member) -> JSONValue {
        JSONValue(kind: member.kind, bytes: bytes.span(Int(member.value.lowerBound)..<Int(member.value.upperBound)))
    }

    static func matches(_ member: Member, _ key: String, in text: UnsafeRawBufferPointer) -> Bool {
        let range = Int(member.key.lowerBound)..<Int(member.key.upperBound)
        if range.count == key.utf8.count, text.slice(range).equals(key) { return true }
        guard member.keyIsEscaped else { return false }
        var key = key
        return key.withUTF8 { JSONText.unescaped(text.slice(range), equals: UnsafeRawBufferPointer($0)) }
    }
}
