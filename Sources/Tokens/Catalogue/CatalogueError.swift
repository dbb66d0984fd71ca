/// What is wrong with a catalogue file: the place in words, and why. It may be shown to the operator.
public struct CatalogueError: Error, Sendable, Hashable, CustomStringConvertible {
    public let description: String

    init(_ place: String, _ reason: String) { description = "\(place): \(reason)" }
}
