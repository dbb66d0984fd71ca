import Synchronization

/// A section of the configuration, read key by key with types and defaults.
///
/// It remembers which keys were asked for; the host then refuses those that nobody knows. So read every key that you
/// support, whether or not it matters this time.
public final class ConfigurationSection: Sendable {
    public let path: String
    public let location: ConfigurationNode.Location
    private let entries: [(key: String, location: ConfigurationNode.Location, node: ConfigurationNode)]
    private let environment: ConfigurationEnvironment
    private let asked = Mutex<[String]>([])
    /// By path, in the order of asking: whoever asks again gets the same section, which knows what was asked before.
    private let children = Mutex<[ConfigurationSection]>([])

    /// Throws when `node` is something else than a section (nothing at all is an empty one) or names a key twice.
    package init(_ node: ConfigurationNode, path: String, environment: ConfigurationEnvironment) throws {
        self.path = path
        self.location = node.location
        self.environment = environment
        switch node.content {
        case .empty: entries = []
        case .section(let found): entries = found
        case .scalar, .list: throw ConfigurationError(at: node.location, key: path, "expected a section of keys")
        }
        var seen: Set<String> = []
        for entry in entries where !seen.insert(entry.key).inserted {
            throw ConfigurationError(at: entry.location, key: fullKey(entry.key), "the key appears twice")
        }
    }

    /// The keys as they stand in the file: for sections whose keys are names, such as `providers`.
    public var names: [String] { entries.map(\.key) }
    /// Whether the file has `key`.
    public func has(_ key: String) -> Bool { node(key) != nil }

    public func string(_ key: String) throws -> String? { try scalar(key)?.text }
    public func string(_ key: String, default fallback: String) throws -> String { try string(key) ?? fallback }

    /// A text in which variables stand for themselves: `encode` makes of a variable's value what means that value there,
    /// such as a password in an address.
    ///
    /// A text that is nothing but one variable is that variable's value.
    package func string(_ key: String, encodingVariables encode: (String) -> String) throws -> String? {
        guard let node = ask(key) else { return nil }
        guard case .scalar(let written, _) = node.content else { throw error(key, "expected a single value") }
        let isOneVariable = written.hasPrefix("${") && written.firstIndex(of: "}") == written.indices.last
        return try environment.expand(
            written, at: node.location, key: fullKey(key), encode: isOneVariable ? { $0 } : encode)
    }

    /// A credential: `${NAME}` takes it from the environment, `file:PATH` from a file (less its last line break).
    ///
    /// An empty one is an error: a key that is there but empty must not pass for one.
    public func secret(_ key: String) throws -> Secret? {
        guard let value = try scalar(key) else { return nil }
        guard value.text.hasPrefix("file:") else {
            guard !value.text.isEmpty else { throw error(key, "the value is empty") }
            return Secret(value.text)
        }
        let file = String(value.text.dropFirst("file:".count))
        guard let content = environment.readFile(file) else { throw error(key, "the file \(file) cannot be read") }
        guard !content.isEmpty else { throw error(key, "the file \(file) is empty") }
        return Secret(content)
    }

    /// The text of the file that the value names.
    package func file(_ key: String) throws -> String? {
        guard let name = try string(key) else { return nil }
        guard let content = environment.readFile(name) else { throw error(key, "the file \(name) cannot be read") }
        return content
    }

    /// The name of a file that others will read: it is there, and it can be read.
    package func fileName(_ key: String) throws -> String? {
        _ = try file(key)
        return try string(key)
    }

    /// The name of a PEM file of certificates that others will read.
    package func certificates(_ key: String) throws -> String? {
        guard let name = try string(key) else { return nil }
        try checkCertificates(name, namedBy: key)
        return name
    }

    /// Throws if the file `name`, which the value of `key` names, holds no PEM certificate.
    package func checkCertificates(_ name: String, namedBy key: String) throws {
        guard let text = environment.readFile(name) else { throw error(key, "the file \(name) cannot be read") }
        guard ["", "TRUSTED ", "X509 "].contains(where: { text.contains("-----BEGIN \($0)CERTIFICATE-----") }) else {
            throw error(key, "expected PEM certificates (-----BEGIN CERTIFICATE-----) in the file \(name)")
        }
    }

    /// A whole number within `range`.
    public func int(_ key: String, default fallback: Int, in range: ClosedRange<Int> = 0...Int.max) throws -> Int {
        guard let value = try scalar(key) else { return fallback }
        guard !value.isString, let number = Int(value.text.filter { $0 != "_" }) else {
            throw error(key, "expected a whole number, found “\(value.written)”")
        }
        guard range.contains(number) else {
            let upper = range.upperBound == .max ? " or more" : " to \(range.upperBound)"
            throw error(key, "\(number) is out of range (\(range.lowerBound)\(upper))")
        }
        return number
    }

    public func double(_ key: String, default fallback: Double, in range: ClosedRange<Double>) throws -> Double {
        guard let value = try scalar(key) else { return fallback }
        guard !value.isString, let number = Double(value.text), range.contains(number) else {
            throw error(
                key, "expected a number from \(range.lowerBound) to \(range.upperBound), found “\(value.written)”")
        }
        return number
    }

    public func bool(_ key: String, default fallback: Bool) throws -> Bool {
        guard let value = try scalar(key) else { return fallback }
        switch (value.isString, value.text) {
        case (false, "true"): return true
        case (false, "false"): return false
        default: throw error(key, "expected true or false, found “\(value.written)”")
        }
    }

    /// A duration such as `250ms`, `10s`, `5m`, `2h` or `7d`.
    public func duration(_ key: String, default fallback: Duration) throws -> Duration {
        guard let value = try scalar(key) else { return fallback }
        guard let duration = Quantity.duration(value.text) else {
            throw error(key, "expected a duration such as 250ms, 10s, 5m, 2h or 7d, found “\(value.written)”")
        }
        return duration
    }

    /// A number of bytes such as `65536`, `64KB` or `32MB` (powers of 1,024).
    public func bytes(_ key: String, default fallback: Int) throws -> Int {
        guard let value = try scalar(key) else { return fallback }
        guard let bytes = Quantity.bytes(value.text) else {
            throw error(key, "expected a size such as 65536, 64KB or 32MB, found “\(value.written)”")
        }
        return bytes
    }

    /// One of the cases of an enumeration, by its raw value.
    public func choice<Choice: RawRepresentable & CaseIterable>(_ key: String, default fallback: Choice) throws
        -> Choice
    where Choice.RawValue == String {
        guard let value = try scalar(key) else { return fallback }
        guard let choice = Choice(rawValue: value.text) else {
            let known = Choice.allCases.map(\.rawValue).joined(separator: ", ")
            throw error(key, "expected one of \(known), found “\(value.written)”")
        }
        return choice
    }

    /// A list of strings; `nil` without the key.
    public func strings(_ key: String) throws -> [String]? {
        guard let node = ask(key) else { return nil }
        guard case .list(let items) = node.content else { throw error(key, "expected a list") }
        return try items.map { item in
            guard case .scalar(let text, _) = item.content else {
                throw ConfigurationError(at: item.location, key: fullKey(key), "expected a list of strings")
            }
            return try environment.expand(text, at: item.location, key: fullKey(key))
        }
    }

    /// The section under `key`, empty if there is none.
    public func section(_ key: String) throws -> ConfigurationSection {
        let node = ask(key) ?? ConfigurationNode(.empty, at: location)
        return try child(node, path: fullKey(key))
    }

    /// A list of sections; empty without the key.
    public func sections(_ key: String) throws -> [ConfigurationSection] {
        guard let node = ask(key) else { return [] }
        guard case .list(let items) = node.content else { throw error(key, "expected a list") }
        return try items.enumerated().map { try child($1, path: "\(fullKey(key))[\($0)]") }
    }

    /// Whether `key` holds a section, and not a plain value.
    public func isSection(_ key: String) -> Bool {
        if case .section? = node(key)?.content { true } else { false }
    }

    /// An error about `key`, located at it.
    public func error(_ key: String, _ message: String) -> ConfigurationError {
        let place = entries.first { $0.key == key }?.location ?? location
        return ConfigurationError(at: place, key: fullKey(key), message)
    }

    /// The error about a required `key` that is not there: what to write, or which key of the file may have been meant.
    public func missing(_ key: String, _ advice: String? = nil) -> ConfigurationError {
        let known = asked.withLock { $0 }
        let unknown = entries.filter { !known.contains($0.key) }
        if let near = Spelling.nearest(to: key, among: unknown.map(\.key)),
            let entry = unknown.first(where: { $0.key == near })
        {
            return ConfigurationError(at: entry.location, key: fullKey(near), "unknown key; did you mean “\(key)”?")
        }
        return error(key, ["missing", advice].compactMap(\.self).joined(separator: "; "))
    }

    /// What stands in the file and was never asked for, in this section and below.
    package func unknownKeys() -> [ConfigurationError] {
        let known = asked.withLock { $0 }
        let own = entries.filter { !known.contains($0.key) }.map { entry in
            let near = Spelling.nearest(to: entry.key, among: known)
            let hint =
                near.map { "; did you mean “\($0)”?" }
                ?? (known.isEmpty ? "" : "; known: \(known.sorted().joined(separator: ", "))")
            return ConfigurationError(at: entry.location, key: fullKey(entry.key), "unknown key\(hint)")
        }
        return own + children.withLock { $0 }.flatMap { $0.unknownKeys() }
    }

    private func child(_ node: ConfigurationNode, path: String) throws -> ConfigurationSection {
        if let known = children.withLock({ $0.first { $0.path == path } }) { return known }
        let section = try ConfigurationSection(node, path: path, environment: environment)
        children.withLock { $0.append(section) }
        return section
    }

    private func fullKey(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    private func node(_ key: String) -> ConfigurationNode? { entries.first { $0.key == key }?.node }

    private func ask(_ key: String) -> ConfigurationNode? {
        asked.withLock { if !$0.contains(key) { $0.append(key) } }
        guard let node = node(key) else { return nil }
        if case .empty = node.content { return nil }
        return node
    }

    private func scalar(_ key: String) throws -> Scalar? {
        guard let node = ask(key) else { return nil }
        guard case .scalar(let written, let isQuoted) = node.content else {
            throw error(key, "expected a single value")
        }
        let text = try environment.expand(written, at: node.location, key: fullKey(key))
        // `{ port: "${PORT}" }` needs its quotes for the braces: they do not make it a string.
        return Scalar(text: text, written: written, isString: isQuoted && !written.contains("${"))
    }
}

/// A value of the configuration and how the file has it.
private struct Scalar {
    let text: String
    /// For messages: a variable by its name, since its value may be a credential that landed in the wrong place.
    let written: String
    /// Quoted, and so no number or truth value.
    let isString: Bool
}
