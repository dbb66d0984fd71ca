import Logging
import NIOHTTP1
import NIOPosix
import ServiceLifecycle
import Synchronization
import Testing
import TurnpikeKit

@testable import TurnpikeRuntime

/// What plugins did, in order.
private final class Journal: Sendable {
    private struct State {
        var entries: [String] = []
        var waiters: [(entry: String, continuation: CheckedContinuation<Void, Never>)] = []
    }
    private let state = Mutex(State())

    var entries: [String] { state.withLock { $0.entries } }

    func note(_ entry: String) {
        let waiters = state.withLock { state in
            state.entries.append(entry)
            defer { state.waiters.removeAll { $0.entry == entry } }
            return state.waiters.filter { $0.entry == entry }
        }
        for waiter in waiters { waiter.continuation.resume() }
    }

    func wait(for entry: String) async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                if state.entries.contains(entry) { return true }
                state.waiters.append((entry, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }
}

/// A plugin that tells when its work begins and ends.
private struct Noting: Plugin {
    let name: String
    let journal: Journal

    func run() async throws {
        journal.note("\(name) begins")
        try await gracefulShutdown()
        journal.note("\(name) ends")
    }
}

/// A gateway with a keeper, whose worlds are numbered from 1 in the order in which they are built.
private final class KeptGateway: Sendable {
    let journal = Journal()
    let gateway: Gateway
    private let (changes, change) = AsyncStream.makeStream(of: Void.self)
    private let built = Mutex(1)

    init() throws {
        gateway = Gateway(
            world: try Self.world("1", journal), clock: .system, logger: Logger(label: "test"))
    }

    private static func world(_ name: String, _ journal: Journal) throws -> World {
        let factories = ["a", "b"].map { id in
            PluginFactory(id: id, stage: .observe) { _ in Noting(name: name + id, journal: journal) }
        }
        return try WorldBuilder(factories: factories, resources: Resources(), ownRoutes: []).build(configuration(""))
    }

    /// Runs the keeper as long as `body` takes.
    func run(_ body: () async throws -> Void) async throws {
        let keeper = WorldKeeper(gateway, changes: changes, logger: Logger(label: "test")) { [self] _ in
            try Self.world("\(built.withLock { $0 += 1; return $0 })", journal)
        }
        let services = ServiceGroup(services: [keeper], logger: Logger(label: "test"))
        async let running: Void = services.run()
        await journal.wait(for: "1b begins")
        try await body()
        await services.triggerGracefulShutdown()
        try await running
    }

    /// Replaces the world. Whoever returns from the next call knows that this one is done.
    func reload() async {
        let next = built.withLock { $0 } + 1
        change.yield()
        await journal.wait(for: "\(next)a begins")
        await journal.wait(for: "\(next)b begins")
    }

    func beginExchange() -> Exchange {
        gateway.begin(
            RequestHead(method: .GET, target: "/"), peerAddress: "",
            on: MultiThreadedEventLoopGroup.singleton.next())
    }
}

@Suite(.timeLimit(.minutes(5)))
struct WorldKeeperTests {
    @Test func aReplacedWorldsPluginsEndOnceAndNotBeforeItsLastExchange() async throws {
        let kept = try KeptGateway()
        try await kept.run {
            var exchanges = [kept.beginExchange(), kept.beginExchange()]
            await kept.reload()
            await kept.reload()
            // The second world had no exchange: it is gone as soon as the third one has its place.
            await kept.journal.wait(for: "2a ends")
            await kept.journal.wait(for: "2b ends")
            #expect(kept.journal.entries.filter { $0.hasPrefix("1") }.sorted() == ["1a begins", "1b begins"])
            exchanges.removeFirst().finish(Outcome(ending: .completed, status: 200))
            await kept.reload()
            await kept.journal.wait(for: "3b ends")
            #expect(kept.journal.entries.filter { $0.hasPrefix("1") }.sorted() == ["1a begins", "1b begins"])
            exchanges.removeFirst().finish(Outcome(ending: .completed, status: 200))
            await kept.journal.wait(for: "1a ends")
            await kept.journal.wait(for: "1b ends")
        }
        let expected = (1...4).flatMap { world in
            ["a", "b"].flatMap { ["\(world)\($0) begins", "\(world)\($0) ends"] }
        }
        #expect(kept.journal.entries.sorted() == expected)
    }

    @Test func thePluginsOfAllWorldsEndWithTheService() async throws {
        let kept = try KeptGateway()
        var exchange: Exchange?
        try await kept.run {
            exchange = kept.beginExchange()
            await kept.reload()
            // Exchanges end before the service is asked to stop.
            exchange?.finish(Outcome(ending: .completed, status: 200))
            exchange = nil
        }
        #expect(exchange == nil)
        #expect(
            kept.journal.entries.filter { $0.hasSuffix("ends") }.sorted() == [
                "1a ends", "1b ends", "2a ends", "2b ends",
            ])
    }
}
