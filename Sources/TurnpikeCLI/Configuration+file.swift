import ArgumentParser
import Glibc
import Persistence
import TurnpikeKit
import TurnpikeRuntime

/// `--config FILE`, for every command that needs one.
struct ConfigurationOption: ParsableArguments {
    @Option(
        name: [.customLong("config"), .customShort("c")], help: "The configuration file, such as config/turnpike.yaml.")
    var file: String?

    /// Reads and checks the file. Prints what is wrong with it, and ends the command, if it cannot be used.
    func load() throws -> GatewayConfiguration {
        guard let file else {
            throw CommandFailure("name a configuration with --config FILE. `turnpike demo` runs without one.")
        }
        return try GatewayConfiguration.read(file)
    }
}

extension GatewayConfiguration {
    /// Reads a file, with this process's environment.
    static func read(_ file: String) throws -> GatewayConfiguration {
        let text: String
        do throws(ProcessFiles.Unreadable) {
            text = try ProcessFiles.text(of: file)
        } catch {
            throw CommandFailure("\(file): cannot be read: \(error). `turnpike demo` runs without a configuration.")
        }
        return try GatewayConfiguration(text: text, file: file, environment: .process)
    }
}

extension ConfigurationEnvironment {
    /// The variables and files of this process.
    static let process = ConfigurationEnvironment(
        variable: { name in getenv(name).map { String(cString: $0) } },
        readFile: { path in
            guard var text = ProcessFiles.read(path) else { return nil }
            if text.hasSuffix("\n") { text.removeLast() }
            if text.hasSuffix("\r") { text.removeLast() }
            return text
        })
}

/// Small files of the operator's: configurations and secrets.
enum ProcessFiles {
    /// Why a file cannot be read, in words.
    struct Unreadable: Error, CustomStringConvertible {
        let description: String

        /// What the last call to the system said.
        static var lastCall: Unreadable { Unreadable(description: String(cString: strerror(errno))) }
    }

    /// The whole text; `nil` if it cannot be read.
    static func read(_ path: String) -> String? { try? text(of: path) }

    /// The whole text, which is UTF-8. Up to 16 MB.
    static func text(of path: String) throws(Unreadable) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .lastCall }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count < 16 << 20 {
            let count = Glibc.read(descriptor, &piece, piece.count)
            if count < 0 { throw .lastCall }
            if count == 0 {
                guard let text = String(validating: bytes, as: UTF8.self) else {
                    throw Unreadable(description: "it is no UTF-8 text")
                }
                return text
            }
            bytes += piece[..<count]
        }
        throw Unreadable(description: "it has more than 16 MB")
    }
}

/// Ends a command with a sentence on stderr.
struct CommandFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
