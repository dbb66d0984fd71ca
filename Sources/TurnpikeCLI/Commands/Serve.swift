import ArgumentParser
import Logging
import NIOCore
import OpenAIWire
import TurnpikeKit
import TurnpikeRuntime

/// `turnpike serve`.
struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serve clients until SIGTERM or SIGINT.",
        discussion: """
            On SIGTERM no new exchanges begin; answers that are under way finish within server.drain_timeout.

            The file is read again when it changes and on SIGHUP. A file with a mistake leaves everything as it was, \
            and says why in the log; listeners, database and log settings need a restart.

            Without a configuration, try `turnpike demo`.
            """)

    @OptionGroup var options: ConfigurationOption

    func run() async throws {
        try await reporting {
            let configuration = try options.load()
            try await Composition(configuration).run(reloading: options.file) { address in
                Logger(label: "turnpike").info(
                    "Turnpike listens.", metadata: StartLine(address: address, configuration).metadata)
            }
        }
    }
}

/// `turnpike check`.
struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say what is wrong with a configuration, and do nothing else.",
        discussion:
            "Prints one line and exits 0 if the file can be used; names file, line and key, and exits 1, if not.")

    @OptionGroup var options: ConfigurationOption
    @ArgumentParser.Flag(help: "Print a JSON object instead of lines, also of what is wrong.")
    var json = false

    func run() async throws {
        try await reporting {
            do {
                try Composition.check(try options.load())
            } catch {
                guard json else { throw error }
                print(Self.json(error))
                throw ExitCode.failure
            }
            print(json ? Self.json(nil) : "\(options.file ?? ""): ok")
        }
    }

    private static func json(_ error: (any Error)?) -> String {
        String(
            buffer: JSONWriter.object { json in
                json.member("ok", error == nil)
                json.array("problems") { array in
                    for problem in problems(in: error) { array.element(object: problem) }
                }
            })
    }

    /// Each mistake as members: where it is, the key, what to do about it; only what to do where it is not in the file.
    private static func problems(in error: (any Error)?) -> [(inout JSONWriter) -> Void] {
        let errors: [any Error] = (error as? ConfigurationErrors)?.errors ?? [error].compactMap(\.self)
        return errors.map { error in
            { json in
                guard let mistake = error as? ConfigurationError else { return json.member("message", "\(error)") }
                json.member("file", mistake.location.file)
                json.member("line", mistake.location.line)
                json.member("key", mistake.key)
                json.member("message", mistake.message)
            }
        }
    }
}
