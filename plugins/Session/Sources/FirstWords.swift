import Conversations
import NIOCore
import OpenAIWire

/// The title that a session takes from its first message.
enum FirstWords {
    /// Most characters of a title.
    private static let length = 60

    /// The first words of what the user says in a request; nil where that is nothing.
    static func title(of chat: ChatRequest) -> String? {
        guard let messages = try? chat.messages() else { return nil }
        guard let first = messages.first(where: { $0.role == .user }) else { return nil }
        return title(MessageText.of(first.bytes))
    }

    /// Whole words, in one line.
    static func title(_ text: String) -> String? {
        // A pasted book is not split whole for its first line.
        let words = text.prefix(4 * length).split { $0.isWhitespace || $0.isNewline }
        guard let first = words.first else { return nil }
        var title = String(first.prefix(length))
        for word in words.dropFirst() where title.count + 1 + word.count <= length { title += " " + word }
        // What a title cannot have: control characters would break whoever prints it. Scalars are what is counted.
        let scalars = title.unicodeScalars.filter { $0.value >= 0x20 && $0.value != 0x7F }.prefix(200)
        let clean = String(String.UnicodeScalarView(scalars))
        return clean.isEmpty ? nil : clean
    }
}
