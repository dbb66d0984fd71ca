/// A piece of a configuration file and where it stands, for messages that lead there.
public struct ConfigurationNode: Sendable {
    /// File and line, both as an editor counts them.
    public struct Location: Sendable, CustomStringConvertible {
        public var file: String
        public var line: Int
        public init(file: String, line: Int) {
            self.file = file
            self.line = line
        }
        public var description: String { "\(file):\(line)" }
    }

    public enum Content: Sendable {
        case empty
        /// A scalar's text and whether it was quoted, which makes it a string whatever it looks like.
        case scalar(String, isQuoted: Bool)
        case list([ConfigurationNode])
        /// In the file's order.
        case section([(key: String, location: Location, node: ConfigurationNode)])
    }

    public var content: Content
    public var location: Location

    public init(_ content: Content, at location: Location) {
        self.content = content
        self.location = location
    }
}

/// A mistake in the configuration: where, which key, and what to do about it.
public struct ConfigurationError: Error, Sendable, CustomStringConvertible {
    public var location: ConfigurationNode.Location
    /// The key's full path, such as `server.port`.
    public var key: String
    public var message: String

    public init(at location: ConfigurationNode.Location, key: String, _ message: String) {
        self.location = location
        self.key = key
        self.message = message
    }

    public var description: String { "\(location): \(key.isEmpty ? "" : "\(key): ")\(message)" }
}

/// Several mistakes, one a line, in the order of the file.
package struct ConfigurationErrors: Error, CustomStringConvertible {
    package let errors: [ConfigurationError]

    package init(_ errors: [ConfigurationError]) { self.errors = errors }

    package var description: String { errors.map(\.description).joined(separator: "\n") }
}
