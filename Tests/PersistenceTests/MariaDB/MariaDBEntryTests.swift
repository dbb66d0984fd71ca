import Glibc
import Persistence
import PersistenceMariaDB
import Testing
import TurnpikeTesting

/// Users, passwords, TLS, and several hosts, over TCP.
@Suite("MariaDB: who gets in, and how", .serialized, .timeLimit(.minutes(2)))
struct MariaDBEntryTests {
    /// Two authorities; the server's certificate is the first one's, for 127.0.0.1 and not for localhost.
    private struct Secured: Sendable {
        let server: MariaDBServer
        let port: Int

        init() throws {
            var template = Array("\(TemporaryDirectory.root)/turnpike-tls-XXXXXX".utf8CString)
            guard let made = mkdtemp(&template) else { throw ConformanceFailureOf(description: "no directory") }
            let keys = String(cString: made)
            try shell(
                """
                cd \(keys) && exec 2>openssl.log
                for ca in right wrong; do openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
                -subj "/CN=$ca" -keyout $ca.key -out $ca.pem; done
                openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=server -keyout s.key -out s.csr
                printf 'subjectAltName=IP:127.0.0.1' >names
                openssl x509 -req -in s.csr -CA right.pem -CAkey right.key -CAcreateserial -days 2 -extfile names \
                -out s.pem
                """)
            port = try freePort()
            server = try MariaDBServer(options: [
                "--port=\(port)", "--ssl-ca=\(keys)/right.pem", "--ssl-cert=\(keys)/s.pem", "--ssl-key=\(keys)/s.key",
            ])
            try shell("mv \(keys) \(server.directory)/keys")
            try shell(
                """
                mariadb --no-defaults -uroot -S \(server.socket) -e "CREATE DATABASE t; \
                CREATE USER plain@'%' IDENTIFIED BY 'p@ss:word'; GRANT ALL ON t.* TO plain@'%'; \
                CREATE USER secure@'%' IDENTIFIED BY 'x' REQUIRE SSL; GRANT ALL ON t.* TO secure@'%'"
                """)
        }

        func address(_ host: String = "127.0.0.1", _ options: String = "", user: String = "plain:p%40ss%3Aword") throws
            -> ServerAddress
        {
            try ServerAddress(parsing: "mariadb://\(user)@\(host):\(port)/t?connect_timeout=2\(options)")
        }

        func ca(_ name: String) -> String { "\(server.directory)/keys/\(name).pem" }
    }

    private static let secured = Result { try Secured() }
    private static let plain = Result { () throws -> (MariaDBServer, Int) in
        let port = try freePort()
        let server = try MariaDBServer(options: ["--port=\(port)"])
        try shell(
            "mariadb --no-defaults -uroot -S \(server.socket) -e \"CREATE DATABASE t; CREATE USER u@'%'; "
                + "GRANT ALL ON t.* TO u@'%'\"")
        return (server, port)
    }

    private static func site() async throws -> Secured { try await MariaDBServer.blocking { try secured.get() } }
    private static func plainSite() async throws -> (MariaDBServer, Int) {
        try await MariaDBServer.blocking { try plain.get() }
    }

    /// Below the ephemeral range, where another process's connection may take it at any time.
    private static func freePort() throws -> Int {
        for port in (20_000..<30_000).shuffled().prefix(100) {
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(descriptor) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = in_port_t(port).bigEndian
            address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
            let bound = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            if bound == 0 { return port }
        }
        throw ConformanceFailureOf(description: "no port is free")
    }

    private func cipher(_ address: ServerAddress) async throws -> String? {
        try await with(address) { database in
            try await database.read { connection in
                try connection.first("SHOW SESSION STATUS LIKE 'Ssl_cipher'") { try $0.text(1) }
            }
        }
    }

    private func refusal(_ address: ServerAddress) async -> DatabaseError? {
        do {
            _ = try await cipher(address)
            return nil
        } catch {
            return error as? DatabaseError
        }
    }

    // MARK: TLS

    @Test func offIsPlainText() async throws {
        #expect(try await cipher(Self.site().address()) == "")
    }

    @Test func requireEncrypts() async throws {
        let address = try await Self.site().address("127.0.0.1", "&tls=require")
        #expect(try await cipher(address)?.hasPrefix("TLS") == true)
        let user = try await Self.site().address("127.0.0.1", "&tls=require", user: "secure:x")
        #expect(try await cipher(user)?.isEmpty == false)
    }

    @Test func verifyTakesTheRightAuthoritysCertificate() async throws {
        let site = try await Self.site()
        for tls in ["&tls=verify", "&tls=require", ""] {
            let address = try site.address("127.0.0.1", "\(tls)&ca=\(site.ca("right"))")
            #expect(try await cipher(address)?.isEmpty == false)
        }
    }

    @Test func verifyRefusesEverythingElse() async throws {
        let site = try await Self.site()
        let addresses = [
            (try site.address("127.0.0.1", "&ca=\(site.ca("wrong"))"), true),
            (try site.address("127.0.0.1", "&tls=verify"), true),
            (try site.address("localhost", "&ca=\(site.ca("right"))"), false),
            (try site.address("127.0.0.1", "&ca=\(site.ca("missing"))"), false),
        ]
        for (address, isOfAnUnknownAuthority) in addresses {
            let error = try #require(await refusal(address))
            #expect(error.failure == .refuse && error.code == 2_026, "\(address.ca ?? "no ca")")
            #expect(error.reason.hasSuffix("ca=FILE") == isOfAnUnknownAuthority, "\(error.reason)")
        }
    }

    @Test(arguments: ["&tls=require", "&tls=verify", "&ca="])
    func aServerWithoutTLSIsNeverSpokenToInPlainText(_ options: String) async throws {
        let (_, port) = try await Self.plainSite()
        let ca = try await Self.site().ca("right")
        let complete = options.hasSuffix("=") ? options + ca : options
        let address = try ServerAddress(parsing: "mariadb://u@127.0.0.1:\(port)/t?connect_timeout=2\(complete)")
        let error = await refusal(address)
        #expect(error?.failure == .refuse)
        #expect(error?.code == 2_026 || error?.reason.hasSuffix("the connection is not encrypted") == true)
    }

    @Test func aUserWhoMustEncryptIsToldSoWhenNot() async throws {
        let error = await refusal(try await Self.site().address(user: "secure:x"))
        #expect(error?.failure == .refuse && error?.code == 1_045)
        #expect(error?.reason.hasSuffix("or it wants TLS (tls=verify)") == true)
    }

    // MARK: Users

    @Test(arguments: ["plain:wrong", "plain", "nobody:x"])
    func aWrongPasswordIsRefused(_ user: String) async throws {
        let error = await refusal(try await Self.site().address(user: user))
        #expect(error?.failure == .refuse && error?.code == 1_045)
        #expect(error?.debugDescription.contains("wrong") == false)
    }

    @Test func aMissingDatabaseIsNamedAsTheReason() async throws {
        var address = try await Self.site().address()
        address.database = "t2"
        address.user = "root"
        address.password = ""
        address.place = .socket(try await Self.site().server.socket)
        #expect(await refusal(address)?.code == 1_049)
    }

    @Test func aPasswordThatChangesLaterIsAnOutage() async throws {
        let site = try await Self.site()
        func mariadb(_ sql: String) throws {
            try shell("mariadb --no-defaults -uroot -S \(site.server.socket) -e \"\(sql)\"")
        }
        try mariadb("CREATE USER later@'%' IDENTIFIED BY 'one'; GRANT ALL ON t.* TO later@'%'")
        try await with(site.address(user: "later:one")) { database in
            let id = try await database.number("SELECT CONNECTION_ID()")
            try mariadb("ALTER USER later@'%' IDENTIFIED BY 'two'; KILL \(id)")
            let error = await #expect(throws: DatabaseError.self) {
                try await database.number("SELECT 1")
            }
            #expect(error?.failure == .unavailable && error?.code == 1_045)
            try mariadb("ALTER USER later@'%' IDENTIFIED BY 'one'")
            try await eventually("it goes on") { try await database.number("SELECT 1") == 1 }
        }
    }

    // MARK: Hosts

    @Test func theFirstHealthyHostWins() async throws {
        let (_, port) = try await Self.plainSite()
        let dead = try Self.freePort()
        let address = try ServerAddress(parsing: "mariadb://u@127.0.0.1:\(dead),localhost:\(port)/t?connect_timeout=2")
        try await with(address) { database in
            for _ in 0..<3 {
                let found = try await database.number("SELECT @@port")
                #expect(found == port)
            }
        }
    }

    @Test func whenTheFirstHostDiesTheNextOneIsUsed() async throws {
        let (_, second) = try await Self.plainSite()
        let first = try Self.freePort()
        let server = try await MariaDBServer.blocking { try MariaDBServer(options: ["--port=\(first)"]) }
        try shell(
            "mariadb --no-defaults -uroot -S \(server.socket) -e \"CREATE DATABASE t; CREATE USER u@'%'; "
                + "GRANT ALL ON t.* TO u@'%'\"")
        let address = try ServerAddress(parsing: "mariadb://u@127.0.0.1:\(first),127.0.0.1:\(second)/t")
        try await with(address) { database in
            #expect(try await database.number("SELECT @@port") == first)
            #expect(try await database.numberOfWriter("SELECT @@port") == first)
            try server.kill()
            #expect(try await database.number("SELECT @@port") == second)
            #expect(try await database.numberOfWriter("SELECT @@port") == second)
        }
    }
}
