import ArgumentParser
import Conversations
import Glibc
import Logging
import NIOCore
import Persistence
import TurnpikeKit
import TurnpikeRuntime

/// `turnpike spool …`.
struct Spool: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "See and store the turns that wait on local disk because the database did not take them.",
        discussion: """
            A running `turnpike serve` stores them by itself as soon as the database answers: these commands are for \
            looking at it, and for a directory whose process does not run any more.
            """,
        subcommands: [List.self, Replay.self, Export.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List what waits, and what was set aside. Shows no contents; works while the server runs.")

        @OptionGroup var options: ConfigurationOption
        @ArgumentParser.Flag(help: "Print a JSON object instead of a table.")
        var json = false

        func run() async throws {
            try await reporting {
                let configuration = try options.load()
                let listing = try SpoolCommand.listing(configuration)
                print(json ? SpoolText.json(listing) : SpoolText.table(listing))
                if !json, let directory = SpoolCommand.missingDirectory(configuration) {
                    print(SpoolText.missing(directory))
                }
            }
        }
    }

    struct Replay: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Store what waits in the database, in order, each turn once. Refused while a process owns the spool.",
            discussion: "A turn that the database refuses is set aside in the directory dead/ and blocks nothing.")

        @OptionGroup var options: ConfigurationOption
        @ArgumentParser.Flag(help: "Print a JSON object instead of a sentence.")
        var json = false

        func run() async throws {
            try await reporting {
                let configuration = try options.load()
                if let directory = SpoolCommand.missingDirectory(configuration) {
                    print(json ? SpoolText.json(SpoolCommand.Replayed()) : SpoolText.missing(directory))
                    return
                }
                let logger = Logger(label: "turnpike")
                let database = Composition.database(configuration.database, logger: logger)
                do {
                    let store = try Composition.store(
                        database, configuration, remedy: .ofReplay, logger: logger)
                    let replayed = try await SpoolCommand.drain(store, logger)
                    print(json ? SpoolText.json(replayed) : SpoolText.sentence(replayed))
                } catch {
                    await database.close()
                    throw error
                }
                await database.close()
            }
        }
    }

    struct Export: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print the turns with their messages, one JSON object per line. Works while the server runs.",
            discussion: "The output contains conversations of users: treat it like the database.")

        @OptionGroup var options: ConfigurationOption
        @ArgumentParser.Flag(help: "The turns that were set aside, instead of those that wait.")
        var dead = false

        func run() async throws {
            try await reporting {
                let listing = try SpoolCommand.listing(try options.load())
                let turns = dead ? listing.setAside.map(\.turn) : listing.turns.map(\.turn)
                for turn in turns {
                    if let turn { print(SpoolText.json(turn)) }
                }
            }
        }
    }
}

/// What the commands do.
enum SpoolCommand {
    /// What became of the turns that waited.
    struct Replayed {
        /// Stored, or found stored.
        var stored = 0
        /// Of sessions that are gone.
        var discarded = 0
        /// Refused by the database for good.
        var setAside = 0
    }

    static func listing(_ configuration: GatewayConfiguration) throws -> SpoolListing {
        guard let settings = configuration.spool.settings else { throw CommandFailure("spool.enabled is false") }
        guard missingDirectory(configuration) == nil else { return SpoolListing() }
        do {
            return try SpoolListing(directory: settings.directory)
        } catch {
            throw CommandFailure("spool.directory: \(error)")
        }
    }

    /// The spool's directory where no process has made it yet: nothing waits then.
    static func missingDirectory(_ configuration: GatewayConfiguration) -> String? {
        guard let directory = configuration.spool.settings?.directory else { return nil }
        return access(directory, F_OK) != 0 && errno == ENOENT ? directory : nil
    }

    static func drain(_ store: ConversationStore, _ logger: Logger) async throws -> Replayed {
        do {
            // Nothing is stored beside a process that relies on being alone on the database, nor beside one that comes to.
            store.soleUse.keep()
            _ = try await store.soleUse.look()
            async let _: Void = lookEachSecond(store.soleUse)
            try await store.soleUse.attend()
            let count = try await store.drainSpool(logger: logger)
            await store.soleUse.release()
            await store.closeSpool()
            let (discarded, setAside) = store.spoolStatus.map { ($0.discardedTotal, $0.refusedTotal) } ?? (0, 0)
            return Replayed(stored: count - discarded, discarded: discarded, setAside: setAside)
        } catch {
            // The name stays: the database may be what fails, and whoever finds a stale one takes it out.
            await store.closeSpool()
            guard let error = error as? DatabaseError else { throw error }
            throw CommandFailure("the database does not take the turns: \(error.diagnosis)")
        }
    }

    private static func lookEachSecond(_ soleUse: SoleUse) async {
        while (try? await Task.sleep(for: .seconds(1))) != nil { _ = try? await soleUse.look() }
    }
}
