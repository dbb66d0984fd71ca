import Persistence
import Testing

@Suite("Addresses of servers") struct ServerAddressTests {
    @Test func hasItsPartsAndDefaults() throws {
        let address = try ServerAddress(parsing: "mariadb://bob@db.example/turnpike")
        #expect(address.place == .hosts([.init("db.example", port: 3_306)]))
        #expect(address.user == "bob")
        #expect(address.password == "")
        #expect(address.database == "turnpike")
        #expect(address.tls == .off && address.ca == nil)
        #expect(address.connectTimeout == .seconds(5) && address.statementTimeout == .seconds(10))
    }

    @Test func readsSeveralHostsInTheirOrder() throws {
        let address = try ServerAddress(parsing: "mariadb://u:p@b:3307,a,[::1]:9,[fe80::2]/t?readers=8")
        #expect(
            address.place == .hosts([.init("b", port: 3_307), .init("a"), .init("::1", port: 9), .init("fe80::2")]))
        #expect(address.readers == 8)
        #expect(address.description == "mariadb://u@b:3307,a:3306,[::1]:9,[fe80::2]:3306/t")
    }

    @Test func decodesWhatIsPercentEncoded() throws {
        let address = try ServerAddress(parsing: "mariadb://a%40b:p%3a%2F%25%F0%9F%8D%A3@h/my%20db?ca=%2fx%26y.pem")
        #expect(address.user == "a@b")
        #expect(address.password == "p:/%🍣")
        #expect(address.database == "my db")
        #expect(address.ca == "/x&y.pem")
    }

    @Test func encodesAnyTextSoThatItStandsForItself() throws {
        let password = "p@:/?#&=%[],🍣 \"'\\~-._"
        let address = try ServerAddress(parsing: "mariadb://u:\(ServerAddress.percentEncoded(password))@h/t")
        #expect(address.password == password)
    }

    @Test func takesASocketInsteadOfAHost() throws {
        for host in ["", "localhost"] {
            let address = try ServerAddress(parsing: "mariadb://u@\(host)/t?socket=/run/mysqld/mysqld.sock")
            #expect(address.place == .socket("/run/mysqld/mysqld.sock"))
        }
    }

    @Test(arguments: [
        ("", ServerAddress.TLS.off), ("tls=off", .off), ("tls=require", .require), ("tls=verify", .verify),
    ])
    func namesTheProtection(_ option: String, _ tls: ServerAddress.TLS) throws {
        #expect(try ServerAddress(parsing: "mariadb://u@h/t?\(option)").tls == tls)
    }

    @Test(arguments: ["ca=x.pem", "tls=require&ca=x.pem", "tls=verify&ca=x.pem"])
    func verifiesWhereAnAuthorityIsGiven(_ options: String) throws {
        let address = try ServerAddress(parsing: "mariadb://u@h/t?\(options)")
        #expect(address.tls == .verify)
        #expect(address.ca == "x.pem")
    }

    @Test(arguments: [
        "mysql://u@h/t", "mariadb:u@h/t", "mariadb://u@h", "mariadb://u@h/", "mariadb://u@h/a/b", "mariadb://h/t",
        "mariadb://@h/t", "mariadb://:p@h/t", "mariadb://u:p@ss@h/t", "mariadb://u@/t", "mariadb://u@h,/t",
        "mariadb://u@h,h/t", "mariadb://u@h:0/t", "mariadb://u@h:65536/t", "mariadb://u@h:x/t", "mariadb://u@h:/t",
        "mariadb://u@::1/t", "mariadb://u@[::1]x/t", "mariadb://u@h h/t", "mariadb://u%@h/t", "mariadb://u%4@h/t",
        "mariadb://u%zz@h/t", "mariadb://u%00@h/t", "mariadb://u%ff@h/t", "mariadb://u@h/t#x",
        "mariadb://u@h/t?TLS=verify", "mariadb://u@h/t?ssl=true", "mariadb://u@h/t?tls=yes", "mariadb://u@h/t?tls",
        "mariadb://u@h/t?tls=", "mariadb://u@h/t?tls=off&tls=verify", "mariadb://u@h/t?tls=off&ca=x",
        "mariadb://u@h/t?socket=/s", "mariadb://u@/t?socket=s", "mariadb://u@/t?socket=/s&tls=require",
        "mariadb://u@h/t?connect_timeout=0", "mariadb://u@h/t?statement_timeout=x", "mariadb://u@h/t?readers=65",
        "mariadb://u@h/t?&", "mariadb://u:p/x@h/t",
    ])
    func refusesWhatIsNoAddress(_ text: String) {
        #expect(throws: ServerAddressError.self) { try ServerAddress(parsing: text) }
    }

    @Test func showsThePasswordNowhere() throws {
        let address = try ServerAddress(parsing: "mariadb://u:hunter2@h/t")
        var dumped = ""
        dump(address, to: &dumped)
        for text in ["\(address)", String(reflecting: address), dumped] { #expect(!text.contains("hunter2")) }
        for broken in ["mariadb://u:hunter2@h", "mariadb://u:hunter2@x@h/t", "mariadb://u:hunter2%@h/t"] {
            let error = #expect(throws: ServerAddressError.self) { try ServerAddress(parsing: broken) }
            #expect(error?.description.contains("hunter2") == false)
        }
    }
}
