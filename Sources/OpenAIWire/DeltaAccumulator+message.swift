public import NIOCore

/// The messages that the deltas so far make.
extension DeltaAccumulator {
    /// The assistant's message of a choice as JSON; nil where nothing of the choice has come.
    ///
    /// - Parameter partial: the stream ended early. Tool calls that cannot be executed (no id, no name, arguments cut
    ///   off) are left out, and a message that then holds nothing is nil.
    public func message(choice: Int = 0, partial: Bool) -> ByteBuffer? {
        guard let choice = choices.first(where: { $0.index == choice }) else { return nil }
        let node = choice.message
        let omitted = partial ? omissions(choice) : Omissions()
        if partial, !hasRest(node, omitted) { return nil }
        var buffer = ByteBuffer()
        buffer.reserveCapacity(256)
        buffer.writeInteger(ASCII.openBrace)
        buffer.writeStaticString("\"role\":")
        if let role = values.member("role", of: node), !values.isEmpty(role) {
            values.write(role, to: &buffer)
        } else {
            buffer.writeStaticString("\"assistant\"")
        }
        buffer.writeStaticString(",\"content\":")
        if let content = values.member("content", of: node) {
            values.write(content, to: &buffer)
        } else {
            buffer.writeStaticString("null")
        }
        for child in values.nodes[node].children { writeMember(child, omitted, to: &buffer) }
        buffer.writeInteger(ASCII.closeBrace)
        return buffer
    }

    /// The indexes of the choices that have begun, in order.
    public var choiceIndexes: [Int] {
        choices.map(\.index).sorted()
    }

    /// Why a choice ended; nil where it has not.
    public func finishReason(choice: Int = 0) -> String? {
        choices.first { $0.index == choice }?.finishReason
    }

    /// The log probabilities of a choice, where they are kept and have come.
    public func logprobs(choice: Int = 0) -> ByteBuffer? {
        guard let node = choices.first(where: { $0.index == choice })?.logprobs else { return nil }
        var buffer = ByteBuffer()
        values.write(node, to: &buffer)
        return buffer
    }

    private func writeMember(_ child: MergedValues.Child, _ omitted: Omissions, to buffer: inout ByteBuffer) {
        var isFirst = false
        if child.key.elementsEqual("tool_calls".utf8) {
            writeToolCalls(child.node, omitted.toolCalls, to: &buffer)
        } else if child.key.elementsEqual("role".utf8) || child.key.elementsEqual("content".utf8) {
            return
        } else if !(omitted.functionCall && child.key.elementsEqual("function_call".utf8)) {
            values.writeMember(child, &isFirst, to: &buffer)
        }
    }

    /// The calls in the order of their index, which itself is a matter of streams and left out; a call of a provider
    /// that sends no type is a function's.
    private func writeToolCalls(_ node: MergedValues.Reference, _ omitted: Set<Int>, to buffer: inout ByteBuffer) {
        let calls = values.nodes[node].children.filter { !omitted.contains($0.node) }.sorted { $0.index < $1.index }
        guard !calls.isEmpty else { return }
        buffer.writeStaticString(",\"tool_calls\":")
        buffer.writeInteger(ASCII.openBracket)
        for (position, call) in calls.enumerated() {
            if position > 0 { buffer.writeInteger(ASCII.comma) }
            buffer.writeInteger(ASCII.openBrace)
            var isFirst = true
            for member in values.nodes[call.node].children where !member.key.elementsEqual("index".utf8) {
                values.writeMember(member, &isFirst, to: &buffer)
            }
            if values.member("type", of: call.node) == nil, values.member("function", of: call.node) != nil {
                buffer.writeStaticString(isFirst ? "\"type\":\"function\"" : ",\"type\":\"function\"")
            }
            buffer.writeInteger(ASCII.closeBrace)
        }
        buffer.writeInteger(ASCII.closeBracket)
    }
}

// MARK: - Partial messages

/// What a partial message leaves out.
private struct Omissions {
    /// Tool calls by their value.
    var toolCalls: Set<Int> = []
    var functionCall = false
}

extension DeltaAccumulator {
    private func omissions(_ choice: Choice) -> Omissions {
        var omitted = Omissions()
        if let call = values.member("function_call", of: choice.message) {
            omitted.functionCall = !isCompleteFunction(call)
        }
        guard let list = values.member("tool_calls", of: choice.message) else { return omitted }
        let calls = values.nodes[list].children
        let last = calls.map(\.index).max()
        for call in calls {
            // A custom tool's input is any text: it is whole once another call, or the finish reason, has come.
            let isFollowed = choice.finishReason != nil || call.index != last
            if !isComplete(toolCall: call.node, isFollowed: isFollowed) { omitted.toolCalls.insert(call.node) }
        }
        return omitted
    }

    private func isComplete(toolCall call: MergedValues.Reference, isFollowed: Bool) -> Bool {
        guard let id = values.member("id", of: call), !values.isEmpty(id) else { return false }
        if let function = values.member("function", of: call) { return isCompleteFunction(function) }
        guard let custom = values.member("custom", of: call) else { return false }
        return isFollowed && values.member("name", of: custom).map { !values.isEmpty($0) } ?? false
    }

    private func isCompleteFunction(_ function: MergedValues.Reference) -> Bool {
        guard let name = values.member("name", of: function), !values.isEmpty(name),
            let arguments = values.member("arguments", of: function), let text = values.unescaped(arguments)
        else { return false }
        return text.withUnsafeBytes { (try? JSON.validate($0)) != nil }
    }

    /// Whether anything but the role, empty values and what is left out is there.
    private func hasRest(_ message: MergedValues.Reference, _ omitted: Omissions) -> Bool {
        values.nodes[message].children.contains { child in
            if values.isEmpty(child.node) || child.key.elementsEqual("role".utf8) { return false }
            if omitted.functionCall, child.key.elementsEqual("function_call".utf8) { return false }
            guard child.key.elementsEqual("tool_calls".utf8) else { return true }
            return values.nodes[child.node].children.contains { !omitted.toolCalls.contains($0.node) }
        }
    }
}
