import ArgumentParser
import Glibc
import Persistence

/// What people read while a command runs; stdout is for results.
enum StandardError {
    static func print(_ line: String) {
        var line = line + "\n"
        line.withUTF8 { bytes in _ = write(STDERR_FILENO, bytes.baseAddress, bytes.count) }
    }
}

/// Runs a command and tells an error as one sentence on stderr, with exit status 1.
func reporting(_ command: () async throws -> Void) async throws {
    ProcessLog.install()
    do {
        try await command()
    } catch let error as DatabaseError {
        StandardError.print("turnpike: the database: \(error.diagnosis)\(advice(error))")
        throw ExitCode.failure
    } catch let error as ExitCode {
        throw error
    } catch {
        StandardError.print("turnpike: \(error)")
        throw ExitCode.failure
    }
}

/// What an operator does about an error of the database; nothing is said where its reason says all.
private func advice(_ error: DatabaseError) -> String {
    switch error.failure {
    case .unknownAtCommit:
        ". What the command changes may have happened, or may still happen: look, with `list`, before you repeat it"
    case .unavailable, .overloaded, .retryTransaction, .resend:
        ". See whether it is reachable, and whether something holds its tables; then repeat the command"
    case .data, .refuse: ""
    }
}

/// Results, and what a demo tells.
enum StandardOutput {
    /// Written at once, also into a pipe.
    static func print(_ text: String) {
        var text = text + "\n"
        text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                let count = write(STDOUT_FILENO, rest.baseAddress, rest.count)
                guard count > 0 else { return }
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            }
        }
    }
}
