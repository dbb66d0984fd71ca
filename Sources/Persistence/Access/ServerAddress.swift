/// Where a database server is and how to get in, as one line of a configuration says it:
///
///     mariadb://user:password@host1:3306,host2:3306/turnpike?tls=verify&ca=ca.pem
///     mariadb://user@/turnpike?socket=/run/mysqld/mysqld.sock
///
/// Neither of its descriptions shows the password.
public struct ServerAddress: Sendable, Equatable {
    /// How a connection is protected on its way.
    public enum TLS: String, Sendable, CaseIterable {
        /// Plain text: for a socket, the same machine, or a network that nobody else is on.
        case off
        /// Encrypted; the server may be anybody.
        case require
        /// Encrypted, and the server's certificate was signed by a trusted authority for this host name.
        case verify
    }

    /// One server.
    public struct Host: Sendable, Equatable {
        /// A name or an address, an IPv6 one without its brackets.
        public var name: String
        public var port: Int

        public init(_ name: String, port: Int = 3_306) {
            self.name = name
            self.port = port
        }
    }

    /// The way to the server.
    public enum Place: Sendable, Equatable {
        /// The path of a unix socket.
        case socket(String)
        /// One server, or several of one cluster in the order in which they are tried.
        case hosts([Host])
    }

    public var place: Place
    public var user: String
    public var password: String
    /// The name of the database on the server.
    public var database: String
    public var tls = TLS.off
    /// A file of certificates that are trusted instead of the system's.
    public var ca: String?
    /// How long a host has for answering at all.
    public var connectTimeout: Duration = .seconds(5)
    /// How long the server may work on one statement.
    public var statementTimeout: Duration = .seconds(10)
    /// Threads that read, each with a connection.
    public var readers = 6

    public init(place: Place, user: String, password: String = "", database: String) {
        self.place = place
        self.user = user
        self.password = password
        self.database = database
    }
}

extension ServerAddress: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The servers and the database's name.
    public var description: String {
        switch place {
        case .socket(let path): "mariadb://\(user)@\(path)/\(database)"
        case .hosts(let hosts): "mariadb://\(user)@\(hosts.map(\.description).joined(separator: ","))/\(database)"
        }
    }

    public var debugDescription: String { description }
    /// Empty: a dump would show the password.
    public var customMirror: Mirror { Mirror(self, children: []) }
}

extension ServerAddress.Host: CustomStringConvertible {
    /// As it is written in an address.
    public var description: String { name.contains(":") ? "[\(name)]:\(port)" : "\(name):\(port)" }
}
