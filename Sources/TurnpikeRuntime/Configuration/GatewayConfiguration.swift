import Conversations
package import Logging
package import Persistence
package import Tokens
package import TurnpikeKit

/// The whole configuration file, typed. What a plugin reads for itself stays a section.
package struct GatewayConfiguration: Sendable {
    package var server: ServerSettings
    package var database: DatabaseAddress
    package var spool: SpoolConfiguration
    package var sessionCache: SessionCacheSettings
    package var log: LogSettings
    package var providers: Providers
    /// What is known of models: the shipped catalogue with the operator's over it.
    package var models: ModelCatalogue
    package var chain: [String]
    package var flags: FlagSet
    /// The whole file, for the plugins' own sections.
    package let root: ConfigurationSection

    /// Reads everything but the plugins' sections.
    ///
    /// Throws a ``ConfigurationError`` for the first mistake. Unknown keys are checked by the world's builder, once the
    /// plugins have read what is theirs.
    package init(_ root: ConfigurationSection) throws {
        self.root = root
        try Self.refuseForeignFile(root)
        server = try ServerSettings(root.section("server"))
        database = try DatabaseAddress(root)
        spool = try SpoolConfiguration(root.section("spool"), besideDatabase: database)
        sessionCache = try SessionCacheSettings(root.section("session_cache"))
        log = try LogSettings(root.section("log"))
        providers = try Providers(root)
        models = try ModelCatalogue(root)
        chain = try root.strings("chain") ?? []
        flags = try FlagSet(root.section("flags"))
    }

    /// Told before anything is called missing: whoever tries LiteLLM's file here has all of it to write anew.
    private static func refuseForeignFile(_ root: ConfigurationSection) throws {
        let foreign = ["model_list", "litellm_settings", "general_settings", "router_settings"]
        guard let key = foreign.first(where: root.has) else { return }
        throw root.error(
            key,
            "unknown key; it is LiteLLM's: write providers: and models: instead, as docs/coming-from-litellm.md shows")
    }

    /// Reads a file's text. Relative paths in it are relative to the working directory.
    package init(text: String, file: String, environment: ConfigurationEnvironment) throws {
        try self.init(ConfigurationSection(YAMLFile.parse(text, file: file), path: "", environment: environment))
    }
}

/// How much is logged, and in which form.
package struct LogSettings: Sendable, Equatable {
    package enum Format: String, CaseIterable, Sendable { case text, json }
    package var level: Logger.Level
    package var format: Format

    init(_ section: ConfigurationSection) throws {
        let name = try section.string("level", default: "info")
        guard let level = Logger.Level(rawValue: name) else {
            let known = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
            throw section.error("level", "expected one of \(known), found “\(name)”")
        }
        self.level = level
        format = try section.choice("format", default: Format.text)
    }
}

/// Where conversations, keys and activity are kept.
package enum DatabaseAddress: Sendable, Equatable {
    case sqlite(path: String)
    case mariadb(ServerAddress)

    init(_ root: ConfigurationSection) throws {
        guard let address = try root.string("database") else {
            throw root.missing("database", "for example sqlite:data/turnpike.db")
        }
        if address.hasPrefix("sqlite:"), address.count > "sqlite:".count {
            self = .sqlite(path: String(address.dropFirst("sqlite:".count)))
        } else if address.hasPrefix("mariadb:") {
            self = .mariadb(try Self.server(root))
        } else {
            throw root.error("database", "expected sqlite:PATH or mariadb://USER:PASSWORD@HOST/NAME")
        }
    }

    /// A variable in it is a user, a password or a name, whatever characters it has.
    private static func server(_ root: ConfigurationSection) throws -> ServerAddress {
        let text = try root.string("database", encodingVariables: ServerAddress.percentEncoded)
        let address: ServerAddress
        do throws(ServerAddressError) {
            address = try ServerAddress(parsing: text ?? "")
        } catch {
            throw root.error("database", error.description)
        }
        if let ca = address.ca { try root.checkCertificates(ca, namedBy: "database") }
        return address
    }
}
