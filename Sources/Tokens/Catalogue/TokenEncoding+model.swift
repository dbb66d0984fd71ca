extension TokenEncoding {
    /// The encoding of an OpenAI model that the catalogue does not list, by the beginning of its name, as tiktoken's table
    /// (`model.py`, 0.14.0) has it. Nil for other names.
    init?(openAIModel name: Substring) {
        let o200k = ["o1", "o3", "o4-mini", "gpt-5", "gpt-4.5", "gpt-4.1", "chatgpt-4o", "gpt-4o", "gpt-oss"]
        let cl100k = ["gpt-4", "gpt-3.5", "gpt-35-turbo", "text-embedding-", "davinci-002", "babbage-002"]
        if o200k.contains(where: { Self.isFamily($0, of: name) }) {
            self = .o200k
        } else if cl100k.contains(where: { Self.isFamily($0, of: name) }) {
            self = .cl100k
        } else {
            return nil
        }
    }

    /// `o1-mini` and `gpt-5.2` belong to the families `o1` and `gpt-5`, `o10` and `gpt-55` do not.
    private static func isFamily(_ family: String, of name: Substring) -> Bool {
        guard name.hasPrefix(family) else { return false }
        guard let next = name.dropFirst(family.count).first, family.last != "-" else { return true }
        return next == "-" || next == "." || next == ":"
    }
}
