import NIOCore

/// Reading what has been merged, as JSON.
extension MergedValues {
    /// The member `key` of an object.
    func member(_ key: String, of node: Reference) -> Reference? {
        nodes[node].children.first { $0.key.elementsEqual(key.utf8) }?.node
    }

    /// Whether a value holds anything: text, members or elements.
    func isEmpty(_ node: Reference) -> Bool {
        switch nodes[node].shape {
        case .null: true
        case .string: nodes[node].text.isEmpty
        case .raw: false
        case .object, .array: nodes[node].children.isEmpty && nodes[node].text.isEmpty
        }
    }

    /// A text, unescaped; nil where the value is no string.
    func unescaped(_ node: Reference) -> [UInt8]? {
        guard nodes[node].shape == .string else { return nil }
        return nodes[node].text.withUnsafeBytes(JSONText.unescaped)
    }

    /// Writes the value as JSON.
    func write(_ node: Reference, to buffer: inout ByteBuffer) {
        switch nodes[node].shape {
        case .null:
            buffer.writeStaticString("null")
        case .string:
            buffer.writeInteger(ASCII.quote)
            buffer.writeBytes(nodes[node].text)
            buffer.writeInteger(ASCII.quote)
        case .raw:
            buffer.writeBytes(nodes[node].text)
        case .object:
            buffer.writeInteger(ASCII.openBrace)
            var isFirst = true
            for child in nodes[node].children { writeMember(child, &isFirst, to: &buffer) }
            buffer.writeInteger(ASCII.closeBrace)
        case .array:
            writeArray(node, to: &buffer)
        }
    }

    /// Writes a member with its key, and the comma before it.
    func writeMember(_ child: Child, _ isFirst: inout Bool, to buffer: inout ByteBuffer) {
        if !isFirst { buffer.writeInteger(ASCII.comma) }
        isFirst = false
        child.key.withUnsafeBytes { buffer.writeJSONString($0) }
        buffer.writeInteger(ASCII.colon)
        write(child.node, to: &buffer)
    }

    /// Merged elements in the order of their index, then those that were only collected.
    private func writeArray(_ node: Reference, to buffer: inout ByteBuffer) {
        buffer.writeInteger(ASCII.openBracket)
        var isFirst = true
        for child in nodes[node].children.sorted(by: { $0.index < $1.index }) {
            if !isFirst { buffer.writeInteger(ASCII.comma) }
            isFirst = false
            write(child.node, to: &buffer)
        }
        if !nodes[node].text.isEmpty {
            if !isFirst { buffer.writeInteger(ASCII.comma) }
            buffer.writeBytes(nodes[node].text)
        }
        buffer.writeInteger(ASCII.closeBracket)
    }
}
