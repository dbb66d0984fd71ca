package import TurnpikeKit
import Yams

/// Reads a YAML file into the nodes that a ``ConfigurationSection`` is made of.
package enum YAMLFile {
    /// Throws a `ConfigurationError` with file and line for anything that is not one plain YAML document.
    package static func parse(_ text: String, file: String) throws -> ConfigurationNode {
        let start = ConfigurationNode.Location(file: file, line: 1)
        do {
            guard let root = try Yams.compose(yaml: text) else { return ConfigurationNode(.empty, at: start) }
            return try convert(root, file: file, near: start)
        } catch let error as YamlError {
            throw located(error, file: file)
        }
    }

    private static func convert(_ node: Node, file: String, near: ConfigurationNode.Location) throws
        -> ConfigurationNode
    {
        let location = node.mark.map { ConfigurationNode.Location(file: file, line: $0.line) } ?? near
        switch node {
        case .scalar(let scalar):
            let isQuoted = scalar.style != .plain && scalar.style != .any
            let isEmpty = !isQuoted && ["", "~", "null"].contains(scalar.string)
            return ConfigurationNode(isEmpty ? .empty : .scalar(scalar.string, isQuoted: isQuoted), at: location)
        case .sequence(let sequence):
            return ConfigurationNode(
                .list(try sequence.map { try convert($0, file: file, near: location) }), at: location)
        case .mapping(let mapping):
            let entries = try mapping.map { key, value in
                let place = key.mark.map { ConfigurationNode.Location(file: file, line: $0.line) } ?? location
                guard let name = key.scalar?.string else {
                    throw ConfigurationError(at: place, key: "", "a key must be a plain word")
                }
                return (key: name, location: place, node: try convert(value, file: file, near: place))
            }
            return ConfigurationNode(.section(entries), at: location)
        case .alias: throw ConfigurationError(at: location, key: "", "YAML aliases are not supported")
        }
    }

    private static func located(_ error: YamlError, file: String) -> ConfigurationError {
        func at(_ line: Int, _ problem: String) -> ConfigurationError {
            ConfigurationError(at: .init(file: file, line: line), key: "", "this is not valid YAML: \(problem)")
        }
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            return at(mark.line, problem)
        case .duplicatedKeysInMapping(let duplicates, let context):
            return at(context.mark.line, "the key \(duplicates.sorted().joined(separator: ", ")) appears twice")
        case .no, .memory, .reader, .writer, .emitter, .representer, .dataCouldNotBeDecoded:
            return at(1, "\(error)")
        }
    }
}
