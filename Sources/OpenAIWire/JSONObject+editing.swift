public import NIOCore

extension JSONObject {
    /// What becomes of one member of the original.
    private enum Fate {
        case kept, removed
        case replaced(JSONFragment)
    }

    /// The object's text with `edits` applied in one pass; everything else is copied as it is, and without any
    /// effective edit these bytes themselves are returned. Where several edits name one key, the last one counts.
    public func edited(_ edits: [JSONEdit]) -> ByteBuffer {
        guard !edits.isEmpty else { return bytes }
        return bytes.withUnsafeReadableBytes { text in
            let fates = members.map { fate(of: $0, edits, in: text) }
            let added = additions(edits, in: text)
            let isUntouched = added.isEmpty && fates.allSatisfy { if case .kept = $0 { true } else { false } }
            return isUntouched ? bytes : spliced(fates, adding: added, text)
        }
    }

    /// The most bytes that `edited(edits)` may have, where no key is repeated.
    public func longestEdited(_ edits: [JSONEdit]) -> Int {
        edits.reduce(bytes.readableBytes) { sum, edit in
            switch edit.action {
            case .replace(let value), .set(let value), .insert(let value):
                sum + edit.key.utf8.count + 8 + value.count
            case .remove: sum
            }
        }
    }

    private func fate(of member: Member, _ edits: [JSONEdit], in text: UnsafeRawBufferPointer) -> Fate {
        guard let edit = edits.last(where: { Self.matches(member, $0.key, in: text) }) else { return .kept }
        switch edit.action {
        case .replace(let value), .set(let value): return .replaced(value)
        case .remove: return .removed
        case .insert: return .kept
        }
    }

    /// The members that are not there yet, in the order of the edits.
    private func additions(_ edits: [JSONEdit], in text: UnsafeRawBufferPointer) -> [(key: String, JSONFragment)] {
        var added: [(key: String, JSONFragment)] = []
        for (index, edit) in edits.enumerated() {
            let isOverruled = edits[(index + 1)...].contains { $0.key == edit.key }
            guard !isOverruled, !members.contains(where: { Self.matches($0, edit.key, in: text) }) else { continue }
            switch edit.action {
            case .set(let value), .insert(let value): added.append((edit.key, value))
            case .replace, .remove: continue
            }
        }
        return added
    }

    private func spliced(
        _ fates: [Fate], adding added: [(key: String, JSONFragment)], _ text: UnsafeRawBufferPointer
    ) -> ByteBuffer {
        // What is behind the last member that was passed; a separator is copied with the member that it precedes.
        var passed = members.first?.start ?? (text.first(ASCII.openBrace, from: 0) ?? 0) + 1
        var splice = Splice(text: text, capacity: text.count + Self.growth(fates, added))
        var hasMember = false
        splice.copy(to: passed)
        for (member, fate) in zip(members, fates) {
            switch fate {
            case .removed:
                splice.copy(to: passed)
                splice.drop(to: member.end)
            case .kept:
                if !hasMember { splice.drop(to: member.start) }
                hasMember = true
            case .replaced(let value):
                if !hasMember { splice.drop(to: member.start) }
                hasMember = true
                splice.copy(to: Int(member.value.lowerBound))
                value.write(to: &splice.result)
                splice.drop(to: member.end)
            }
            passed = member.end
        }
        splice.copy(to: passed)
        for (key, value) in added {
            splice.add(key, value, afterComma: hasMember)
            hasMember = true
        }
        splice.copy(to: text.count)
        return splice.result
    }

    private static func growth(_ fates: [Fate], _ added: [(key: String, JSONFragment)]) -> Int {
        let replaced = fates.reduce(0) { sum, fate in
            if case .replaced(let value) = fate { sum + value.count } else { sum }
        }
        return added.reduce(replaced) { $0 + $1.key.utf8.count + 8 + $1.1.count }
    }
}

extension JSONObject.Member {
    /// The offset of the key's opening quote.
    fileprivate var start: Int { Int(key.lowerBound) - 1 }
    /// The offset behind the value.
    fileprivate var end: Int { Int(value.upperBound) }
}

/// The text that is copied, dropped and added to, from its beginning to its end.
private struct Splice {
    let text: UnsafeRawBufferPointer
    var result = ByteBuffer()
    private var position = 0

    init(text: UnsafeRawBufferPointer, capacity: Int) {
        self.text = text
        result.reserveCapacity(capacity)
    }

    mutating func copy(to end: Int) {
        guard end > position else { return }
        result.writeBytes(text.slice(position..<end))
        position = end
    }

    mutating func drop(to end: Int) {
        position = end
    }

    mutating func add(_ key: String, _ value: JSONFragment, afterComma: Bool) {
        if afterComma { result.writeInteger(ASCII.comma) }
        result.writeJSONString(key)
        result.writeInteger(ASCII.colon)
        value.write(to: &result)
    }
}
