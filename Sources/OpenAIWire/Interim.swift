// Stands in for the real declarations until they land: delete this file together with that change.

/// Token counts of a request.
public struct Usage: Sendable, Equatable {
    /// Counts, as the upstream reported them.
    public var prompt: Int, completion: Int, total: Int
    /// Interim.
    public init(prompt: Int, completion: Int, total: Int) {
        self.prompt = prompt
        self.completion = completion
        self.total = total
    }
}
