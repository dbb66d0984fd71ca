package import NIOCore
package import OpenAIWire

import struct Crypto.SHA256

/// The messages of a request as planning sees them: its leading instructions, and the conversation behind them.
package struct IncomingTurn: Sendable {
    /// A message that may become part of the session.
    package struct Message: Sendable, Hashable {
        /// The message's JSON as it came.
        package var body: ByteBuffer
        package var role: MessageRole
        package var digest: StoredDigest

        package init(body: ByteBuffer, role: MessageRole, digest: StoredDigest) {
            self.body = body
            self.role = role
            self.digest = digest
        }
    }

    /// The system and developer messages that the request begins with, each as it came.
    package var instructions: [ByteBuffer]
    /// Everything behind them, later instructions included.
    package var messages: [Message]
    /// What recognises the same request when it comes again: made of the digests of `messages`.
    package let digest: StoredDigest

    package init(instructions: [ByteBuffer] = [], messages: [Message]) {
        self.instructions = instructions
        self.messages = messages
        var hash = SHA256()
        for message in messages { message.digest.update(&hash) }
        digest = StoredDigest(hash.finalize())
    }

    /// Reads the messages of `request`, which are checked to the last byte: what is stored is spliced into later
    /// requests.
    package init(_ request: ChatRequest) throws(WireError) {
        guard let value = request.object.nonNull("messages") else { throw .missing("messages") }
        do throws(WireError) { try JSON.validate(value.bytes) } catch { throw error.inside("messages") }
        let all = try request.messages()
        let leading = all.prefix { $0.role.isInstruction }
        var messages: [Message] = []
        messages.reserveCapacity(all.count - leading.count)
        for (index, message) in all.enumerated().dropFirst(leading.count) {
            messages.append(try Message(message, param: "messages[\(index)]"))
        }
        self.init(instructions: leading.map(\.bytes), messages: messages)
    }

    /// Whether the client shows answers of the model, so that what it sends has to be compared with what is stored.
    package var showsAnswers: Bool { messages.contains { $0.role == .assistant } }
}

extension IncomingTurn.Message {
    /// - Parameter param: how an error names the message.
    package init(_ message: ChatMessage, param: @autoclosure () -> String = "message") throws(WireError) {
        do throws(WireError) {
            let digest = StoredDigest(try MessageDigest(message))
            self.init(body: message.bytes, role: MessageRole(name: message.role.name), digest: digest)
        } catch {
            throw error.inside(param())
        }
    }
}
