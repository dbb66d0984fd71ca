import ArgumentParser
import AuthPlugin
import EchoProvider
import Glibc
import Logging
import NIOCore
import NIOPosix
import Persistence
import Server
import ServiceLifecycle
import TurnpikeKit
import TurnpikeRuntime

/// `turnpike demo`.
struct Demo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Try Turnpike: one command, no configuration.",
        discussion: """
            Runs on SQLite in --data, creates a user and a key, and prints a curl line and a Python snippet that work.

            With OPENAI_API_KEY in the environment it proxies to OpenAI (OPENAI_BASE_URL for another address); \
            without it, to a built-in provider that repeats what it was sent, history included.
            """)

    @Option(help: "The port to listen on.")
    var port = 8080
    @Option(help: "The folder for the database and the hash key.")
    var data = "data"
    @Option(help: "The user's name.")
    var user = "demo"

    func validate() throws {
        guard (0...65_535).contains(port) else { throw ValidationError("--port takes a number from 0 to 65535.") }
    }

    func run() async throws {
        try await reporting {
            // Before the keys: a second demo on the same folder must not take the first one's key away.
            try ListeningPort.check("127.0.0.1", port, "--port")
            try DemoFolder.create(data)
            if let key = ProcessVariables["OPENAI_API_KEY"] {
                let base = ProcessVariables["OPENAI_BASE_URL"] ?? "https://api.openai.com/v1"
                return try await serve(
                    DemoConfiguration(port: port, data: data, baseURL: base, apiKey: key, model: "gpt-4o-mini"))
            }
            try await withEchoProvider { base in
                try await serve(
                    DemoConfiguration(port: port, data: data, baseURL: base, apiKey: nil, model: EchoProvider.model))
            }
        }
    }

    private func serve(_ demo: DemoConfiguration) async throws {
        let configuration = try demo.gateway()
        // Before the keys, like the port: this is where another demo on the same folder is found.
        let composition = try Composition(configuration, remedy: .ofDemo)
        let key = try await createKey(configuration)
        try await composition.run { address in
            StandardOutput.print(DemoWelcome(address: address, key: key, demo: demo).text)
        }
    }

    /// A new key for each start: a demo keeps no secret in a file. The one before it is revoked.
    private func createKey(_ configuration: GatewayConfiguration) async throws -> String {
        var made = ""
        try await KeyAdministration.open(configuration) { store in
            let owner = try await KeyAdministration.user(named: user, createIfMissing: true, in: store)
            do {
                _ = try await store.revokeKey(named: "demo", of: owner.id)
            } catch KeyStoreError.keyNotFound {
                // The first start.
            }
            made = try await store.createKey(KeyRequest(userID: owner.id, name: "demo")).secret.reveal()
        }
        return made
    }

    /// Runs `body` while the echo provider answers on a port of its own.
    private func withEchoProvider(_ body: @escaping @Sendable (String) async throws -> Void) async throws {
        let logger = Logger(label: "turnpike.echo") { _ in SwiftLogNoOpLogHandler() }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let (addresses, announce) = AsyncStream.makeStream(of: String.self)
        let server = try HTTPServer(
            configuration: ServerConfiguration(address: .host("127.0.0.1", port: 0)),
            handler: EchoProvider(logger: logger),
            group: group, budget: BufferBudget(limit: 256 << 20), logger: logger,
            onListening: { address in
                announce.yield("http://127.0.0.1:\(address.port ?? 0)/v1")
                announce.finish()
            })
        let services = ServiceGroup(configuration: .init(services: [server], logger: logger))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await services.run() }
            tasks.addTask {
                do {
                    for await address in addresses { try await body(address) }
                    await services.triggerGracefulShutdown()
                } catch {
                    await services.triggerGracefulShutdown()
                    throw error
                }
            }
            try await tasks.waitForAll()
        }
        try await group.shutdownGracefully()
    }
}
