import Persistence
import Testing
import TurnpikeKit

@testable import TurnpikeRuntime

/// Reads a configuration whose providers and database are given, followed by `text`.
func configuration(
    _ text: String = "", variables: [String: String] = [:], files: [String: String] = [:]
) throws -> GatewayConfiguration {
    let complete = """
        database: "sqlite:t.db"
        providers: { one: { base_url: "http://127.0.0.1:9/v1" } }
        \(text)
        """
    return try GatewayConfiguration(
        text: complete, file: "t.yaml",
        environment: ConfigurationEnvironment(variable: { variables[$0] }, readFile: { files[$0] }))
}

/// The message of the ``ConfigurationError`` that `text` gives.
func mistake(_ text: String) -> String {
    do {
        _ = try GatewayConfiguration(
            text: text, file: "t.yaml",
            environment: ConfigurationEnvironment(variable: { _ in nil }, readFile: { $0 == "garbage" ? "x" : nil }))
        return "no mistake"
    } catch {
        return "\(error)"
    }
}

@Suite struct ConfigurationTests {
    @Test func readsTheServerSection() throws {
        let read = try configuration(
            """
            server: { port: 9090, admin: "127.0.0.1:9091", max_body: 1MB, max_buffered: 2MB, drain_timeout: 250ms, cors_origins: ["https://a"] }
            """)
        #expect(read.server.port == 9090)
        #expect(read.server.admin?.host == "127.0.0.1" && read.server.admin?.port == 9091)
        #expect(read.server.maxBody == 1 << 20)
        #expect(read.server.drainTimeout == .milliseconds(250))
        #expect(read.server.allowedOrigins == ["https://a"])
    }

    @Test(arguments: [
        "mariadb://bob:${PW}@h/t", "mariadb://${USER}:${PW}@h/t", "${ADDRESS}",
    ])
    func takesAnyPasswordFromTheEnvironment(_ text: String) throws {
        let variables = ["USER": "bob", "PW": "p@:/?#%&=", "ADDRESS": "mariadb://bob:p%40%3A%2F%3F%23%25%26%3D@h/t"]
        let read = try GatewayConfiguration(
            text: "database: \"\(text)\"\nproviders: { one: { base_url: \"http://h/v1\" } }", file: "t.yaml",
            environment: ConfigurationEnvironment(variable: { variables[$0] }, readFile: { _ in nil }))
        let address = ServerAddress(place: .hosts([.init("h")]), user: "bob", password: "p@:/?#%&=", database: "t")
        #expect(read.database == .mariadb(address))
        #expect(!"\(read.database)".contains("p@"))
    }

    @Test func takesAnAdminAddressOfItsOwn() throws {
        #expect(try configuration("server: { port: 80, admin: \"[::1]:81\" }").server.admin?.host == "::1")
        #expect(try configuration("server: { port: 0, admin: \"127.0.0.1:0\" }").server.admin?.port == 0)
        #expect(try configuration("server: { host: 10.0.0.1, port: 80, admin: \"127.0.0.1:80\" }").server.admin != nil)
    }

    @Test func showsAnIPv6AddressInBrackets() throws {
        #expect(try configuration("server: { admin: \"::1:81\" }").server.admin?.description == "[::1]:81")
        #expect(try configuration("server: { admin: \"h:81\" }").server.admin?.description == "h:81")
    }

    @Test func takesTheOnlyProviderAsTheDefault() throws {
        #expect(try configuration().providers.fallback?.name == "one")
    }

    @Test func keepsSecretsOutOfDescriptions() throws {
        let read = try GatewayConfiguration(
            text: "database: sqlite:t\nproviders: { one: { base_url: \"http://h/v1\", api_key: \"${KEY}\" } }",
            file: "t.yaml",
            environment: ConfigurationEnvironment(variable: { _ in "sk-canary" }, readFile: { _ in nil }))
        #expect(read.providers.all.first?.apiKey?.reveal() == "sk-canary")
        #expect(!"\(read.providers)".contains("canary"))
        var dumped = ""
        dump(read.providers, to: &dumped)
        #expect(!dumped.contains("canary"))
    }

    @Test(arguments: [
        ("", "t.yaml:1: database: missing; for example sqlite:data/turnpike.db"),
        ("database: \"postgres:x\"", "t.yaml:1: database: expected sqlite:PATH or mariadb://USER:PASSWORD@HOST/NAME"),
        (
            "database: \"mariadb://u@h\"",
            "t.yaml:1: database: the name of the database is missing: mariadb://user@host/NAME"
        ),
        (
            "database: sqlite:t",
            "t.yaml:1: providers: missing; name at least one, such as  openai: { base_url: \"https://api.openai.com/v1\" }"
        ),
        ("database: sqlite:t\nproviders: {}", "t.yaml:2: providers: name at least one, such as  openai: {"),
        (
            "database: sqlite:t\nprovider: { a: { base_url: \"https://h/v1\" } }",
            "t.yaml:2: provider: unknown key; did you mean “providers”?"
        ),
        (
            "model_list:\n  - model_name: gpt-4o\ngeneral_settings: { master_key: sk-canary }",
            "t.yaml:1: model_list: unknown key; it is LiteLLM's: write providers: and models: instead"
        ),
        (
            "database: sqlite:t\nproviders:\n  a: { base_url: \"ftp://x\" }",
            "t.yaml:3: providers.a.base_url: expected an address such as https://api.openai.com/v1"
        ),
        ("server: { port: 70000 }", "t.yaml:1: server.port: 70000 is out of range (0 to 65535)"),
        ("server:\n  port: many", "t.yaml:2: server.port: expected a whole number, found “many”"),
        ("server: { tls: { certificate: a.pem } }", "t.yaml:1: server.tls.certificate: needs a key beside it"),
        (
            "server: { tls: { certificate: a.pem, key: a.key } }",
            "t.yaml:1: server.tls.certificate: the file a.pem cannot be read"
        ),
        (
            "database: sqlite:t\nproviders: { a: { base_url: \"https://h/v1\", ca: a.pem } }",
            "t.yaml:2: providers.a.ca: the file a.pem cannot be read"
        ),
        (
            "database: \"mariadb://u@h/n?ca=a.pem\"",
            "t.yaml:1: database: the file a.pem cannot be read"
        ),
        (
            "database: sqlite:t\nproviders: { a: { base_url: \"https://h\", ca: garbage } }",
            "t.yaml:2: providers.a.ca: expected PEM certificates (-----BEGIN CERTIFICATE-----) in the file garbage"
        ),
        (
            "database: sqlite:t\nproviders: { a: { base_url: \"http://h\" }, b: { base_url: \"http://h\" } }",
            "t.yaml:1: default_provider: missing; say which of a, b, or name models under “models”"
        ),
        (
            "database: sqlite:t\nproviders: { a: { base_url: \"http://h\" } }\nmodel_catalogue: garbage",
            "t.yaml:3: model_catalogue: garbage: "
        ),
        (
            "server: { tls: { certificate: garbage, key: garbage } }",
            "t.yaml:1: server.tls.certificate: expected a file of PEM certificates"
        ),
        (
            "server: { port: 80, admin: \"127.0.0.1:80\" }",
            "t.yaml:1: server.admin: clients are served there: choose another port than 80"
        ),
        ("server: { host: \"::\", port: 80, admin: \"[::1]:80\" }", "t.yaml:1: server.admin: clients are served there"),
        (
            "log: { level: loud }\ndatabase: sqlite:t",
            "t.yaml:1: log.level: expected one of trace, debug, info, notice, warning, error, critical, found “loud”"
        ),
        ("server: {\n", "this is not valid YAML"),
        ("server: { port: 1 }\nserver: { port: 2 }", "the key server appears twice"),
    ])
    func namesFileLineAndKeyOfAMistake(text: String, expected: String) {
        #expect(mistake(text).contains(expected), "\(mistake(text))")
    }
}
