package import Glibc
public import Persistence
import Synchronization

/// A MariaDB server of the test run's own: on a unix socket in a new directory, ended with this process however that
/// ends. `scripts/mariadb-server` does the work.
public final class MariaDBServer: Sendable {
    /// Why there is no server. Tests fail with it, they are not skipped.
    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    /// The one that all tests of a process share, each with a database of its own; started when the first one asks.
    public static func shared() throws -> MariaDBServer { try running.get() }
    private static let running = Result { try MariaDBServer() }

    private static let threads = WorkerThreads("mariadb-test", count: 4)

    /// Runs what blocks for seconds (starting a server) on a thread of its own, so that the tests which run beside it do
    /// not stand still.
    package static func blocking<Value: Sendable>(
        _ body: @escaping @Sendable () throws -> Value
    ) async throws -> Value { try await threads.run(body) }

    /// What must not be used by two threads at once: commands and their answers.
    private struct Pipes {
        let input: Int32
        let output: Int32
    }

    private let files: TemporaryDirectory
    private let pipes: Mutex<Pipes>
    private let process: pid_t

    /// Starts a server, which takes about a second.
    ///
    /// - Parameter options: Further options of mariadbd.
    public init(options: [String] = []) throws {
        files = TemporaryDirectory("mariadb")
        let child = try ChildProcess.start(Self.script, ["--remove", files.path] + options)
        process = child.process
        pipes = Mutex(Pipes(input: child.input, output: child.output))
        try expectAnswer("ready")
    }

    deinit {
        pipes.withLock { pipes in
            close(pipes.input)
            close(pipes.output)
        }
        var status: Int32 = 0
        waitpid(process, &status, 0)
    }

    /// The directory of its data, socket and log.
    public var directory: String { files.path }

    private static var script: String {
        // …/Sources/TurnpikeTesting/Stores/MariaDBServer.swift
        "\(#filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(4).joined(separator: "/"))/scripts/mariadb-server"
    }

    /// The path of its socket.
    public var socket: String { "\(directory)/s.sock" }

    /// The address of a database on it, with all rights.
    public func address(database: String) -> ServerAddress {
        ServerAddress(place: .socket(socket), user: "root", database: database)
    }

    /// SIGKILL; returns when the process is gone.
    public func kill() throws { try command("kill", "killed") }
    /// Starts it again on the same data.
    public func start() throws { try command("start", "ready") }
    /// Keeps it from running: connections stay open and nothing answers.
    public func pause() throws { try command("pause", "paused") }
    /// Lets it go on.
    public func resume() throws { try command("resume", "resumed") }

    private func command(_ word: String, _ answer: String) throws {
        let line = Array("\(word)\n".utf8)
        let written = pipes.withLock { write($0.input, line, line.count) }
        guard written == line.count else { throw Failure(description: "scripts/mariadb-server has ended") }
        try expectAnswer(answer)
    }

    private func expectAnswer(_ answer: String) throws {
        var line: [UInt8] = []
        pipes.withLock { pipes in
            var byte: UInt8 = 0
            while read(pipes.output, &byte, 1) == 1, byte != UInt8(ascii: "\n") { line.append(byte) }
        }
        let found = String(decoding: line, as: UTF8.self)
        guard found == answer else {
            throw Failure(
                description: "MariaDB does not run (see above, and \(directory)/log): expected “\(answer)”, "
                    + "found “\(found)”; scripts/setup --test installs it")
        }
    }
}

/// Has a child close every descriptor but the standard ones; it is no error where one is not open.
package func closeOthers(_ actions: inout posix_spawn_file_actions_t) {
    for descriptor in 3..<Int32(min(16_384, sysconf(Int32(_SC_OPEN_MAX)))) {
        posix_spawn_file_actions_addclose(&actions, descriptor)
    }
}

/// A child with pipes to its input and output, of which no other child has an end.
private enum ChildProcess {
    static func start(_ program: String, _ arguments: [String]) throws -> (process: pid_t, input: Int32, output: Int32)
    {
        var input: [Int32] = [0, 0]
        var output: [Int32] = [0, 0]
        guard pipe(&input) == 0, pipe(&output) == 0 else { throw MariaDBServer.Failure(description: "no pipe") }
        for end in input + output { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input[0], 0)
        posix_spawn_file_actions_adddup2(&actions, output[1], 1)
        // A socket that a child holds too is not closed when the test closes it.
        closeOthers(&actions)
        var words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var process = pid_t()
        let result = posix_spawn(&process, program, &actions, nil, &words, environ)
        close(input[0])
        close(output[1])
        guard result == 0 else {
            throw MariaDBServer.Failure(
                description: "\(program) cannot be started: \(String(cString: strerror(result)))")
        }
        return (process, input[1], output[0])
    }
}
