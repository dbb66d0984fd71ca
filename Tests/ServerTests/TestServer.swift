import Glibc
import Logging
import NIOCore
import NIOPosix
import Server
import ServiceLifecycle
import Synchronization
import TurnpikeKit
import TurnpikeTesting

/// A server that runs for the length of a closure, on a unix socket of its own, and then stops in order.
struct TestServer: Sendable {
    let address: SocketAddress
    let handler: ScriptedHandler
    let budget: BufferBudget
    let services: ServiceGroup
    let server: HTTPServer

    func connect(autoRead: Bool = true) async throws -> RawClient {
        try await RawClient.connect(to: address, autoRead: autoRead)
    }

    /// One connection, `request` sent, everything received until the server closes.
    func exchange(_ request: String) async throws -> String {
        let client = try await connect()
        try await client.send(request)
        return await client.receiveAll()
    }

    private static let number = Mutex(0)

    static func path() -> String {
        let number = number.withLock { number in
            number += 1
            return number
        }
        return "\(TemporaryDirectory.root)/turnpike-server-\(getpid())-\(number).sock"
    }

    /// - Parameter configure: Sets, among others, the time-outs that a test is about: no machine is too slow for the rest.
    static func with(
        _ script: @escaping ScriptedHandler.Script, budget: Int = 64 << 20,
        on group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        _ configure: (inout ServerConfiguration) throws -> Void = { _ in }, _ body: (TestServer) async throws -> Void
    ) async throws {
        let path = path()
        defer { unlink(path) }
        var configuration = ServerConfiguration(address: .unixSocket(path))
        configuration.timeouts.bePatient()
        try configure(&configuration)
        let handler = ScriptedHandler(script)
        let budget = BufferBudget(limit: budget)
        let listening = Signal<Result<SocketAddress, any Error>>()
        let server = HTTPServer(
            configuration: configuration, handler: handler, group: group, budget: budget,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            onListening: { listening.send(.success($0)) })
        let services = ServiceGroup(
            configuration: .init(services: [.init(service: server)], logger: Logger(label: "services")))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                do {
                    try await services.run()
                } catch {
                    listening.send(.failure(error))
                    throw error
                }
            }
            let address = try await listening.value.get()
            try await body(
                TestServer(address: address, handler: handler, budget: budget, services: services, server: server))
            await services.triggerGracefulShutdown()
            try await group.waitForAll()
        }
    }
}

extension ServerConfiguration.Timeouts {
    /// Whatever a client or an exchange may take, it has five minutes for.
    fileprivate mutating func bePatient() {
        let time = TimeAmount.minutes(5)
        (head, body, keepAlive, write, drain, abort) = (time, time, time, time, time, time)
    }
}
