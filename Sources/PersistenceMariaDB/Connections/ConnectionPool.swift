import Persistence
import Synchronization

/// The connections that nobody uses at the moment, and the making of new ones.
///
/// There are never more than threads that ask: readers, writers and the shards of lanes. The one that was used last is
/// given first, because its statements are prepared and its neighbours then grow old and are closed. A connection is
/// checked by using it: a ping would cost a round trip and prove nothing.
final class ConnectionPool: Sendable {
    private struct State {
        var readers: [MariaDBConnection] = []
        var writers: [MariaDBConnection] = []
        var reachability = Reachability()
        var hosts: HostOrder
        /// The server that an operator counts on, because it is the first or because it was told.
        var announced = 0
        var generation = 0
        var hasConnected = false
        var isClosed = false
        var lastError = DatabaseError(.unavailable, "the server cannot be reached")

        /// Takes all idle connections out, for closing.
        mutating func drop() -> [MariaDBConnection] {
            defer { (readers, writers) = ([], []) }
            generation += 1
            return readers + writers
        }
    }

    private enum Offer {
        case idle(MariaDBConnection)
        case connect([Int])
        case refused(DatabaseError)
    }

    /// A firewall may have forgotten what was silent for longer.
    private static let longestIdle: UInt64 = 240_000_000_000
    /// So that connections return to the first server of the list.
    private static let longestLife: UInt64 = 1_800_000_000_000

    private let connector: Connector
    private let state: Mutex<State>
    private let onMove: @Sendable (String) -> Void

    /// - Parameter onMove: Told the name of the server that new connections go to, when it is not the one before; the
    ///   first of the list counts as the one before all.
    init(_ connector: Connector, onMove: @escaping @Sendable (String) -> Void) {
        self.connector = connector
        self.onMove = onMove
        state = Mutex(State(hosts: HostOrder(count: connector.hostCount)))
    }

    /// A connection for the calling thread, which gives it back.
    func take(_ role: ConnectionRole) throws -> MariaDBConnection {
        let now = monotonicNanoseconds()
        // What has grown old is returned, so that it is closed outside of the lock.
        let (offer, _) = state.withLock { decide(&$0, role, at: now) }
        switch offer {
        case .idle(let connection): return connection
        case .connect(let hosts): return try connect(role, hosts)
        case .refused(let error): throw error
        }
    }

    /// Takes a connection back. One that was lost takes the idle ones with it: what closed it has closed them too.
    func give(_ connection: MariaDBConnection, _ role: ConnectionRole) {
        connection.lastUse = monotonicNanoseconds()
        let dropped: [MariaDBConnection] = state.withLock { state in
            if connection.isLost, connection.generation == state.generation { return state.drop() }
            guard !state.isClosed, !connection.isLost, connection.generation == state.generation else { return [] }
            if role == .reading { state.readers.append(connection) } else { state.writers.append(connection) }
            return []
        }
        // Closed here, without the lock.
        _ = dropped
    }

    /// Closes what is idle; nothing is lent from now on.
    func close() {
        let dropped = state.withLock { state in
            state.isClosed = true
            return state.drop()
        }
        _ = dropped
    }

    private func decide(
        _ state: inout State, _ role: ConnectionRole, at now: UInt64
    ) -> (Offer, old: [MariaDBConnection]) {
        guard !state.isClosed else { return (.refused(DatabaseError(.unavailable, "the database is closed")), []) }
        var old: [MariaDBConnection] = []
        while let connection = role == .reading ? state.readers.popLast() : state.writers.popLast() {
            let isFresh = now < connection.lastUse + Self.longestIdle && now < connection.openedAt + Self.longestLife
            if isFresh, connection.generation == state.generation { return (.idle(connection), old) }
            old.append(connection)
        }
        guard state.reachability.admit(at: now) == .connect else { return (.refused(state.lastError), old) }
        return (.connect(state.hosts.candidates(at: now)), old)
    }

    /// Tries the servers in order; the first that can be used wins.
    private func connect(_ role: ConnectionRole, _ hosts: [Int]) throws -> MariaDBConnection {
        var failures: [(host: Int, error: DatabaseError)] = []
        for host in hosts {
            do {
                let connection = try connector.connect(to: host, for: role)
                adopt(connection)
                return connection
            } catch let error as DatabaseError {
                failures.append((host, error))
                state.withLock { $0.hosts.failed(host, at: monotonicNanoseconds()) }
            }
        }
        throw noteFailure(failures)
    }

    private func adopt(_ connection: MariaDBConnection) {
        let (dropped, hasMoved): ([MariaDBConnection], Bool) = state.withLock { state in
            state.reachability.succeeded()
            state.hasConnected = true
            let dropped = state.hosts.succeeded(connection.host) ? state.drop() : []
            connection.generation = state.generation
            defer { state.announced = connection.host }
            return (dropped, state.announced != connection.host)
        }
        if hasMoved { onMove(connector.name(of: connection.host)) }
        _ = dropped
    }

    /// What the caller is told. Only what every server refuses must be mended by somebody; and once connections were
    /// possible, a refusal is an outage like others: what waits is kept, and goes on when it is mended.
    private func noteFailure(_ failures: [(host: Int, error: DatabaseError)]) -> DatabaseError {
        let errors = failures.map(\.error)
        let first = errors.first { $0.failure != .refuse } ?? errors[0]
        let reason = reason(failures)
        return state.withLock { state in
            let error = DatabaseError(
                state.hasConnected ? .unavailable : first.failure, reason, code: errors.count == 1 ? first.code : 0)
            state.lastError = error
            state.reachability.failed(at: monotonicNanoseconds(), jitter: Double.random(in: 0.5...1.5))
            return error
        }
    }

    /// What is the matter with each server: in the order of the list, so that an outage reads the same however they were
    /// tried. A number is said with its server where there are several.
    private func reason(_ failures: [(host: Int, error: DatabaseError)]) -> String {
        failures.sorted { $0.host < $1.host }.map { host, error in
            "\(connector.name(of: host)): \(failures.count == 1 ? error.reason : error.diagnosis)"
        }.joined(separator: "; ")
    }
}
