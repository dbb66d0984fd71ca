/// Why a text is no address. It quotes neither user nor password.
public struct ServerAddressError: Error, Sendable, Equatable, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}

extension ServerAddress {
    /// Reads `mariadb://USER[:PASSWORD]@HOST[:PORT][,…]/DATABASE[?OPTION=VALUE&…]`.
    ///
    /// Strict, because a typing mistake here must not become a plain-text connection or another database: every option
    /// is known, is named once and has a value that can be used. User, password, database and values are
    /// percent-encoded; `@`, `:`, `/`, `?`, `#` and `%` in them must be.
    public init(parsing text: String) throws(ServerAddressError) {
        guard text.hasPrefix("mariadb://") else { throw ServerAddressError("expected mariadb://…") }
        var rest = text.dropFirst("mariadb://".count)
        guard !rest.contains("#") else { throw ServerAddressError("“#” must be written %23") }
        let query = rest.firstIndex(of: "?").map { rest[rest.index(after: $0)...] }
        rest = rest[..<(rest.firstIndex(of: "?") ?? rest.endIndex)]
        guard let slash = rest.firstIndex(of: "/") else {
            throw ServerAddressError("the name of the database is missing: mariadb://user@host/NAME")
        }
        let options = try Self.options(query ?? "")
        let (user, password) = try Self.credentials(rest[..<slash])
        self.init(
            place: try Self.place(rest[..<slash], socket: options["socket"]), user: user, password: password,
            database: try Self.databaseName(rest[rest.index(after: slash)...]))
        try apply(options)
    }

    private static func credentials(_ authority: Substring) throws(ServerAddressError) -> (String, String) {
        let parts = authority.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count > 1 else { throw ServerAddressError("the user is missing: mariadb://USER@host/name") }
        guard parts.count == 2 else { throw ServerAddressError("“@” in a user or password must be written %40") }
        let words = parts[0].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let user = try decoded(words[0], "the user")
        guard !user.isEmpty else { throw ServerAddressError("the user is missing: mariadb://USER@host/name") }
        return (user, words.count > 1 ? try decoded(words[1], "the password") : "")
    }

    private static func databaseName(_ text: Substring) throws(ServerAddressError) -> String {
        let name = try decoded(text, "the name of the database")
        guard !name.isEmpty, !text.contains("/") else {
            throw ServerAddressError("expected one name of a database behind the hosts: mariadb://user@host/NAME")
        }
        return name
    }

    private static func place(_ authority: Substring, socket: String?) throws(ServerAddressError) -> Place {
        let text = authority[authority.index(after: authority.lastIndex(of: "@") ?? authority.startIndex)...]
        if let socket {
            guard text.isEmpty || text == "localhost" else {
                throw ServerAddressError("a socket and a host: give one of them")
            }
            guard socket.hasPrefix("/") else { throw ServerAddressError("socket: expected an absolute path") }
            return .socket(socket)
        }
        var hosts: [Host] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let host = try host(part)
            guard !hosts.contains(host) else { throw ServerAddressError("the host \(host) is named twice") }
            hosts.append(host)
        }
        return .hosts(hosts)
    }

    private static func host(_ text: Substring) throws(ServerAddressError) -> Host {
        var name = text
        var port: Substring?
        if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            name = text[text.index(after: text.startIndex)..<end]
            let rest = text[text.index(after: end)...]
            guard rest.isEmpty || rest.hasPrefix(":") else { throw ServerAddressError("“\(text)” is no host") }
            port = rest.isEmpty ? nil : rest.dropFirst()
        } else if let colon = text.firstIndex(of: ":") {
            name = text[..<colon]
            port = text[text.index(after: colon)...]
        }
        guard !name.isEmpty, !name.contains(where: \.isWhitespace) else {
            throw ServerAddressError("a host is missing: mariadb://user@HOST/name")
        }
        guard let port else { return Host(String(name)) }
        guard let number = Int(port), (1...65_535).contains(number) else {
            throw ServerAddressError("“\(port)” is no port; an IPv6 address stands in brackets")
        }
        return Host(String(name), port: number)
    }
}

// MARK: - Options

extension ServerAddress {
    private static let known = ["tls", "ca", "socket", "connect_timeout", "statement_timeout", "readers"]

    private static func options(_ query: Substring) throws(ServerAddressError) -> [String: String] {
        var options: [String: String] = [:]
        guard !query.isEmpty else { return options }
        for part in query.split(separator: "&", omittingEmptySubsequences: false) {
            let words = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(words[0])
            guard known.contains(name) else {
                throw ServerAddressError("unknown option “\(name)”; known: \(known.joined(separator: ", "))")
            }
            guard options[name] == nil else { throw ServerAddressError("the option \(name) appears twice") }
            let value = words.count > 1 ? try decoded(words[1], name) : ""
            guard !value.isEmpty else { throw ServerAddressError("the option \(name) has no value") }
            options[name] = value
        }
        return options
    }

    private mutating func apply(_ options: [String: String]) throws(ServerAddressError) {
        connectTimeout = .seconds(try Self.number("connect_timeout", options, 5, in: 1...60))
        statementTimeout = .seconds(try Self.number("statement_timeout", options, 10, in: 1...3_600))
        readers = try Self.number("readers", options, 6, in: 1...64)
        if let name = options["tls"] {
            guard let tls = TLS(rawValue: name) else {
                throw ServerAddressError("tls: expected off, require or verify")
            }
            self.tls = tls
        }
        ca = options["ca"]
        if ca != nil {
            guard options["tls"] != TLS.off.rawValue else { throw ServerAddressError("a ca, and tls is off") }
            tls = .verify
        }
        if case .socket = place, tls != .off { throw ServerAddressError("tls is for hosts, not for a socket") }
    }

    private static func number(
        _ name: String, _ options: [String: String], _ fallback: Int, in range: ClosedRange<Int>
    ) throws(ServerAddressError) -> Int {
        guard let text = options[name] else { return fallback }
        guard let number = Int(text), range.contains(number) else {
            throw ServerAddressError("\(name): expected a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// A text without its percent-encoding.
    private static func decoded(_ text: Substring, _ what: String) throws(ServerAddressError) -> String {
        var bytes: [UInt8] = []
        var rest = Substring(text).utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(hexValue), let low = rest.popFirst().flatMap(hexValue) else {
                throw ServerAddressError("\(what): “%” stands before two hexadecimal digits")
            }
            bytes.append(high << 4 | low)
        }
        guard let result = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
            throw ServerAddressError("\(what): no text")
        }
        return result
    }

    private static func hexValue(_ byte: UInt8) -> UInt8? {
        Character(Unicode.Scalar(byte)).hexDigitValue.flatMap { byte < 0x80 ? UInt8($0) : nil }
    }

    /// A text that stands for itself in an address, whatever is in it.
    public static func percentEncoded(_ text: String) -> String {
        text.utf8.map { byte in
            let isPlain =
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || byte == 0x2D || byte == 0x2E || byte == 0x5F || byte == 0x7E
            if isPlain { return String(Unicode.Scalar(byte)) }
            let digits = String(byte, radix: 16, uppercase: true)
            return digits.utf8.count == 1 ? "%0\(digits)" : "%\(digits)"
        }.joined()
    }
}
