import CMariaDB
import Persistence

/// What a connection is for.
enum ConnectionRole {
    case reading
    case writing
    /// Changes of the schema: no limit of time.
    case schema
}

/// Makes connections: the options of libmariadb, the settings of the session, and the judgement of the server.
struct Connector: Sendable {
    private static let isLibraryReady = cm_library_init() == 0

    let address: ServerAddress
    /// False: as with a libmariadb before 3.3.
    var sendsRowsTogether = Statement.takesRows
    /// What a test says of the server, instead of what the server says itself.
    var said: [String: String] = [:]
    /// Told `max_allowed_packet` where somebody has asked for it again.
    var onPacketLimit: @Sendable (Int) -> Void = { _ in }
    /// Told what each new connection finds.
    let onReport: @Sendable (ServerReport) -> Void

    /// The servers, as an index counts them; a socket is one.
    var hostCount: Int {
        switch address.place {
        case .socket: 1
        case .hosts(let hosts): hosts.count
        }
    }

    /// A server as an operator knows it.
    func name(of host: Int) -> String {
        switch address.place {
        case .socket(let path): path
        case .hosts(let hosts): hosts[host].description
        }
    }

    /// Connects to a server and makes the session what all statements expect.
    func connect(to host: Int, for role: ConnectionRole) throws -> MariaDBConnection {
        precondition(Self.isLibraryReady, "libmariadb starts")
        guard let handle = mysql_init(nil) else { throw DatabaseError(.unavailable, "there is no memory") }
        setOptions(handle, role)
        guard open(handle, host) else {
            let failure = MariaDBFailure.ofConnecting(
                Int(mysql_errno(handle)), detail: String(cString: mysql_error(handle)), tls: address.tls)
            mysql_close(handle)
            throw failure.error
        }
        let openForSchema: () throws -> MariaDBConnection = { try connect(to: host, for: .schema) }
        // From here on the connection closes the handle.
        let connection = MariaDBConnection(
            handle, host: host, now: monotonicNanoseconds(), openForSchema: role == .writing ? openForSchema : nil)
        do {
            try prepare(connection, role)
        } catch let error as DatabaseError where error.failure != .refuse {
            throw DatabaseError(.unavailable, error.reason, code: error.code)
        }
        return connection
    }

    private func open(_ handle: UnsafeMutablePointer<MYSQL>, _ host: Int) -> Bool {
        let (name, port, socket): (String?, Int, String?) =
            switch address.place {
            case .socket(let path): (nil, 0, path)
            case .hosts(let hosts): (hosts[host].name, hosts[host].port, nil)
            }
        return mysql_real_connect(
            handle, name, address.user, address.password, address.database, UInt32(port), socket, 0) != nil
    }

    // MARK: Options

    private func setOptions(_ handle: UnsafeMutablePointer<MYSQL>, _ role: ConnectionRole) {
        set(handle, MYSQL_SET_CHARSET_NAME, "utf8mb4")
        set(handle, MYSQL_OPT_CONNECT_TIMEOUT, seconds(address.connectTimeout))
        // The server ends a statement by itself before; these are for a server that says nothing any more.
        let limit = seconds(address.statementTimeout)
        let patience: UInt32 = role == .schema ? 6 * 3_600 : limit + min(10, limit + 1)
        set(handle, MYSQL_OPT_READ_TIMEOUT, patience)
        set(handle, MYSQL_OPT_WRITE_TIMEOUT, patience)
        set(handle, MYSQL_REPORT_DATA_TRUNCATION, my_bool(1))
        // A server may otherwise ask for any of our files.
        set(handle, MYSQL_OPT_LOCAL_INFILE, UInt32(0))
        mysql_options4(handle, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "turnpike")
        // "localhost" would mean the socket, with TLS or not.
        let isSocket = if case .socket = address.place { true } else { false }
        set(handle, MYSQL_OPT_PROTOCOL, (isSocket ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP).rawValue)
        setTLS(handle)
    }

    /// `SSL_CA` and `SSL_ENFORCE` alone fall back to plain text without a word where the server offers no TLS, so what
    /// came of it is checked before the first statement.
    private func setTLS(_ handle: UnsafeMutablePointer<MYSQL>) {
        guard address.tls != .off else { return }
        set(handle, MYSQL_OPT_SSL_ENFORCE, my_bool(1))
        set(handle, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, my_bool(address.tls == .verify ? 1 : 0))
        if let ca = address.ca { set(handle, MYSQL_OPT_SSL_CA, ca) }
    }

    private func set<Value: BitwiseCopyable>(
        _ handle: UnsafeMutablePointer<MYSQL>, _ option: mysql_option, _ value: Value
    ) {
        withUnsafeBytes(of: value) { _ = mysql_options(handle, option, $0.baseAddress) }
    }

    private func set(_ handle: UnsafeMutablePointer<MYSQL>, _ option: mysql_option, _ text: String) {
        mysql_options(handle, option, text)
    }

    private func seconds(_ duration: Duration) -> UInt32 { UInt32(clamping: max(1, duration.components.seconds)) }

    // MARK: Session

    private func prepare(_ connection: MariaDBConnection, _ role: ConnectionRole) throws {
        guard address.tls == .off || connection.isEncrypted else {
            throw DatabaseError(.refuse, "the connection is not encrypted")
        }
        // What a server has for all sessions may leave out or refuse rows, even of what it says about itself.
        let all = UInt64.max
        try connection.executeText("SET SESSION sql_select_limit = \(all), max_join_size = \(all)")
        let report = try report(connection)
        if let refusal = report.refusal { throw refusal }
        connection.packetLimit = report.packetLimit
        connection.onPacketLimit = onPacketLimit
        // A node of a cluster may answer a command of many rows with success although a transaction of another node has
        // rolled the transaction back meanwhile (seen with 10.11): what comes behind it is then committed alone.
        connection.sendsRowsTogether = sendsRowsTogether && !report.isClusterNode
        try connection.executeText("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE")
        try connection.executeText("SET SESSION " + settings(role).joined(separator: ", "))
        // What was committed on another node is seen by every statement from then on.
        if report.isClusterNode { try connection.executeText("SET SESSION wsrep_sync_wait = 1") }
        onReport(report)
    }

    private func settings(_ role: ConnectionRole) -> [String] {
        let limit = Int(seconds(address.statementTimeout))
        // A lock that is waited for too long is known as such, and tried again, before the statement has lasted too long.
        let lock = max(1, min(5, limit / 2))
        return [
            "sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO'",
            "time_zone = '+00:00'", "character_set_client = 'utf8mb4'", "character_set_results = 'utf8mb4'",
            "collation_connection = 'utf8mb4_nopad_bin'", "sql_safe_updates = 0", "completion_type = 'NO_CHAIN'",
            "autocommit = \(role == .writing ? 0 : 1)", "innodb_lock_wait_timeout = \(lock)",
            // What a process that was stopped keeps locked is free again.
            "idle_transaction_timeout = \(role == .schema ? 0 : limit)", "idle_write_transaction_timeout = 0",
            "idle_readonly_transaction_timeout = 0",
            "lock_wait_timeout = \(lock)", "max_statement_time = \(role == .schema ? 0 : limit)",
        ]
    }

    private func report(_ connection: MariaDBConnection) throws -> ServerReport {
        var values: [String: String] = [:]
        func read(_ what: String, _ names: [String]) throws {
            let list = names.map { "'\($0)'" }.joined(separator: ",")
            try connection.query("SHOW GLOBAL \(what) WHERE Variable_name IN (\(list))") { row in
                if row.count == 2 { values[row[0].lowercased()] = row[1] }
            }
        }
        try read("VARIABLES", ServerReport.variables)
        if ServerReport(values: values).isClusterNode { try read("STATUS", ServerReport.clusterStatus) }
        return ServerReport(values: values.merging(said) { $1 })
    }
}
