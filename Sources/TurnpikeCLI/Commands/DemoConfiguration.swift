import Glibc
import TurnpikeKit
import TurnpikeRuntime

/// What `turnpike demo` would have read from a file.
struct DemoConfiguration {
    let port: Int
    let data: String
    let baseURL: String
    /// The provider's key; `nil` for the echo provider.
    let apiKey: String?
    /// A model to ask for in the examples.
    let model: String

    var isEcho: Bool { apiKey == nil }

    func gateway() throws -> GatewayConfiguration {
        let key = apiKey
        let environment = ConfigurationEnvironment(
            variable: { $0 == "DEMO_PROVIDER_KEY" ? key : nil }, readFile: ConfigurationEnvironment.process.readFile)
        return try GatewayConfiguration(text: text, file: "demo", environment: environment)
    }

    private var text: String {
        """
        server: { host: 127.0.0.1, port: \(port) }
        database: "sqlite:\(data)/turnpike.db"
        auth: { hash_key: "file:\(data)/hash.key" }
        activity: { spool: "\(data)/activity-spool" }
        providers:
          \(isEcho ? "echo" : "openai"): { base_url: "\(baseURL)"\(isEcho ? "" : ", api_key: \"${DEMO_PROVIDER_KEY}\"") }
        log: { level: warning }
        """
    }
}

/// The folder of a demo's files.
enum DemoFolder {
    /// Makes the folder, for its owner only, unless it is there.
    static func create(_ path: String) throws {
        guard !path.isEmpty, !path.contains(where: { $0 == "\"" || $0 == "\\" || $0.isNewline }) else {
            throw CommandFailure("--data: choose a path without quotation marks and line breaks")
        }
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw CommandFailure("\(path): cannot be created: \(String(cString: strerror(errno)))")
        }
    }
}

/// Variables of the process; an empty one counts as not set.
enum ProcessVariables {
    static subscript(name: String) -> String? {
        getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }
}
