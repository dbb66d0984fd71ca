/// Where `${NAME}` and `file:PATH` in a configuration lead: injectable, so that tests need no process environment.
package struct ConfigurationEnvironment: Sendable {
    package var variable: @Sendable (String) -> String?
    /// A small text file's content without its last line break; `nil` if it cannot be read.
    package var readFile: @Sendable (String) -> String?

    package init(
        variable: @escaping @Sendable (String) -> String?, readFile: @escaping @Sendable (String) -> String?
    ) {
        self.variable = variable
        self.readFile = readFile
    }

    /// Replaces every `${NAME}`; a name that is not set is an error, not an empty string.
    func expand(
        _ text: String, at location: ConfigurationNode.Location, key: String, encode: (String) -> String = { $0 }
    ) throws -> String {
        guard text.contains("${") else { return text }
        var result = ""
        var rest = text[...]
        while let start = rest.firstRange(of: "${") {
            result += rest[..<start.lowerBound]
            guard let end = rest[start.upperBound...].firstIndex(of: "}") else {
                throw ConfigurationError(at: location, key: key, "“${” without its “}”")
            }
            let name = String(rest[start.upperBound..<end])
            guard let value = variable(name) else {
                throw ConfigurationError(at: location, key: key, "the environment variable \(name) is not set")
            }
            result += encode(value)
            rest = rest[rest.index(after: end)...]
        }
        return result + rest
    }
}
