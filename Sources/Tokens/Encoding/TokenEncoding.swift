/// A byte-pair encoding that Turnpike counts exactly.
public enum TokenEncoding: String, Sendable, Hashable, CaseIterable {
    /// GPT-4, GPT-3.5 and the embedding models.
    case cl100k = "cl100k_base"
    /// GPT-4o and everything newer of OpenAI's; `o200k_harmony` has the same ranks.
    case o200k = "o200k_base"

    /// The encoding of that name as tiktoken has it: `cl100k_base`, `o200k_base` or `o200k_harmony`; the short forms
    /// `cl100k` and `o200k` too.
    public init?(name: String) {
        switch name {
        case "cl100k_base", "cl100k": self = .cl100k
        case "o200k_base", "o200k_harmony", "o200k": self = .o200k
        default: return nil
        }
    }
}
