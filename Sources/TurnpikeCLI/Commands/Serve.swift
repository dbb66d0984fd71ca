import ArgumentParser
import Logging
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

    func run() async throws {
        try await reporting {
            try Composition.check(try options.load())
            print("\(options.file ?? ""): ok")
        }
    }
}
