import ArgumentParser
import Conversations
import Glibc
import Logging
import NIOCore
import OpenAIWire
import Persistence
import TurnpikeKit
import TurnpikeRuntime

/// `turnpike migrate`.
struct Migrate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Bring the database's tables to the version of this program.",
        discussion: """
            `turnpike serve` does the same at its start; this is for those who want to see it before, or do it while \
            the former release still serves. One process migrates at a time, others wait for it. A schema that is \
            newer than this program is refused.

            Processes of a former release store and remove without counting what only this one counts. When the last \
            of them has ended, --recount sets the counters of all users right; others may go on serving meanwhile.
            """)

    @OptionGroup var options: ConfigurationOption
    @ArgumentParser.Flag(help: "Only list what would be done. Nothing is changed.")
    var dryRun = false
    @ArgumentParser.Flag(help: "Afterwards count anew what every user has: sessions, messages, tokens.")
    var recount = false
    @ArgumentParser.Flag(help: "Print a JSON object instead of lines.")
    var json = false

    func validate() throws {
        if dryRun, recount { throw ValidationError("--dry-run changes nothing, and --recount does.") }
    }

    func run() async throws {
        try await reporting {
            let configuration = try options.load()
            let all = try Composition.migrations(configuration)
            // A file that is not there would be made by opening it.
            if dryRun, configuration.database.isMissingFile { return print(text(all, nil, .sqlite)) }
            let migrator = Migrator(all, logger: Logger(label: "turnpike"))
            let database = Composition.database(configuration.database, logger: Logger(label: "turnpike"))
            do {
                let migrations =
                    dryRun ? try await migrator.pending(on: database) : try await migrator.migrate(database)
                let users = recount ? try await ConversationStore(database: database).recount() : nil
                print(text(migrations, users, database.dialect))
            } catch {
                await Patience.wait(.seconds(1)) { await database.close() }
                throw error
            }
            await database.close()
        }
    }

    private func text(_ migrations: [Migration], _ users: Int?, _ dialect: Dialect) -> String {
        json ? asJSON(migrations, users, dialect) : asLines(migrations, users, dialect)
    }

    private func asLines(_ migrations: [Migration], _ users: Int?, _ dialect: Dialect) -> String {
        let counted = users.map { "\ncounted anew: \($0) \($0 == 1 ? "user" : "users")" } ?? ""
        guard !migrations.isEmpty else { return "The tables are up to date." + counted }
        return migrations.map { migration in
            let count = migration.statements(dialect).count
            let steps = count == 0 ? "nothing to do here" : "\(count) \(count == 1 ? "step" : "steps")"
            return "\(dryRun ? "pending" : "applied") \(migration.component) \(migration.number): \(migration.name) "
                + "(\(steps))"
        }.joined(separator: "\n") + counted
    }

    private func asJSON(_ migrations: [Migration], _ users: Int?, _ dialect: Dialect) -> String {
        String(
            buffer: JSONWriter.object { json in
                json.array(dryRun ? "pending" : "applied") { array in
                    for migration in migrations {
                        array.element(object: { json in
                            json.member("component", migration.component)
                            json.member("number", migration.number)
                            json.member("name", migration.name)
                            json.array("steps") { steps in
                                for step in migration.statements(dialect) { steps.element(step) }
                            }
                        })
                    }
                }
                if let users { json.member("recounted", users) }
            })
    }
}

extension DatabaseAddress {
    /// Whether it is a SQLite file that nobody has made yet.
    fileprivate var isMissingFile: Bool {
        guard case .sqlite(let path) = self else { return false }
        return access(path, F_OK) != 0 && errno == ENOENT
    }
}
