import Logging
import Persistence
import TurnpikeKit
import TurnpikeRuntime

/// What a server says of itself when it begins: where it listens, and what it uses. No password, no key.
struct StartLine {
    let address: String
    let configuration: GatewayConfiguration

    init(address: String, _ configuration: GatewayConfiguration) {
        self.address = address
        self.configuration = configuration
    }

    var metadata: Logger.Metadata {
        var metadata: Logger.Metadata = [
            "address": "\(address)", "database": "\(configuration.database.shown)",
            "providers": "\(configuration.providers.all.map(\.name).joined(separator: ","))",
            "version": "\(Version.text)",
        ]
        if let admin = configuration.server.admin { metadata["admin"] = "\(admin)" }
        return metadata
    }
}

extension DatabaseAddress {
    /// The address without user, password and options.
    fileprivate var shown: String {
        switch self {
        case .sqlite(let path): return "sqlite:\(path)"
        case .mariadb(let server):
            switch server.place {
            case .socket(let path): return "mariadb:\(path)/\(server.database)"
            case .hosts(let hosts):
                return "mariadb://\(hosts.map(\.description).joined(separator: ","))/\(server.database)"
            }
        }
    }
}
