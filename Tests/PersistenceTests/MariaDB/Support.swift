import Glibc
import Logging
import Persistence
import PersistenceMariaDB
import Synchronization
import TurnpikeTesting

/// Logs of expected outages are not shown.
let silence = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Opens a database for the time of a closure.
func with<Value>(_ address: ServerAddress, _ body: (MariaDBDatabase) async throws -> Value) async throws -> Value {
    let database = MariaDBDatabase(address, logger: silence)
    return try await database.closing { try await body(database) }
}

/// Asks until the answer is yes: another process takes its time, and tells nobody when it is done.
func eventually(_ what: String, _ body: () async throws -> Bool) async throws {
    let end = ContinuousClock.now + .seconds(20)
    while ContinuousClock.now < end {
        if (try? await body()) == true { return }
        await Task.yield()
    }
    throw ConformanceFailureOf(description: "\(what): not within 20 s")
}

struct ConformanceFailureOf: Error, CustomStringConvertible { let description: String }

/// Runs a command of the shell to its end.
func shell(_ command: String) throws {
    var words: [UnsafeMutablePointer<CChar>?] = (["/bin/sh", "-c", command] as [String]).map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    // A socket that a child holds too is not closed when the test closes it.
    closeOthers(&actions)
    var process = pid_t()
    var status: Int32 = -1
    guard posix_spawn(&process, "/bin/sh", &actions, nil, &words, environ) == 0,
        waitpid(process, &status, 0) == process, status == 0
    else { throw ConformanceFailureOf(description: "failed: \(command)") }
}

/// Calls of a closure that may run several times.
final class Attempts: Sendable {
    private let made = Mutex(0)
    /// Counts one; the first is 1.
    func next() -> Int {
        made.withLock { made in
            made += 1
            return made
        }
    }
    var count: Int { made.withLock { $0 } }
}

extension Connection {
    /// The one integer of a query.
    func number(_ sql: SQL) throws -> Int { try first(sql) { try $0.value(0) } ?? -1 }
}

extension Database {
    /// A table of numbers, empty.
    func createNumbers() async throws {
        try await write { connection in
            try connection.execute("CREATE TABLE numbers (number BIGINT NOT NULL PRIMARY KEY, data LONGBLOB NULL)")
        }
    }

    /// The one integer of a query, on a reader.
    func number(_ sql: SQL) async throws -> Int { try await read { try $0.number(sql) } }

    /// The same on a writer.
    func numberOfWriter(_ sql: SQL) async throws -> Int { try await write { try $0.number(sql) } }

    func countNumbers() async throws -> Int { try await number("SELECT COUNT(*) FROM numbers") }

    func insertNumber(_ number: Int) async throws {
        try await write { _ = try $0.execute("INSERT INTO numbers (number) VALUES (\(number))") }
    }
}
