/// What is wrong with a catalogue file: the place in words, and why. It may be shown to the operator.
public struct CatalogueError: Error, Sendable, Hashable, CustomStringConvertible {
    public let description: String
    /// The key that nobody knows, if that is what is wrong, and those that could stand there.
    public private(set) var unknownKey: String?
    public private(set) var knownKeys: [String] = []

    init(_ place: String, _ reason: String) { description = "\(place): \(reason)" }

    init(_ place: String, unknownKey: String, among known: Set<String>) {
        knownKeys = known.sorted()
        self.unknownKey = unknownKey
        description = "\(place): nobody knows “\(unknownKey)”; known: \(knownKeys.joined(separator: ", "))"
    }
}
