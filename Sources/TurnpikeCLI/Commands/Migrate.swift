import ArgumentParser
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
            `turnpike serve` does the same at its start; this is for those who want to see it before, or do it while the
            former release still serves. One process migrates at a time, others wait for it. A schema that is newer than
            this program is refused.
            """)

    @OptionGroup var options: ConfigurationOption
    @ArgumentParser.Flag(
        help: "Only list what would be done. Nothing is changed, except that the migrator's own two tables are made.")
    var dryRun = false
    @ArgumentParser.Flag(help: "Print a JSON object instead of lines.")
    var json = false

    func run() async throws {
        try await reporting {
            let configuration = try options.load()
            let migrator = Migrator(try Composition.migrations(configuration), logger: Logger(label: "turnpike"))
            let database = Composition.database(configuration.database, logger: Logger(label: "turnpike"))
            do {
                let migrations =
                    dryRun ? try await migrator.pending(on: database) : try await migrator.migrate(database)
                print(json ? asJSON(migrations, database.dialect) : asLines(migrations, database.dialect))
            } catch {
                await database.close()
                throw error
            }
            await database.close()
        }
    }

    private func asLines(_ migrations: [Migration], _ dialect: Dialect) -> String {
        guard !migrations.isEmpty else { return "The tables are up to date." }
        return migrations.map { migration in
            let steps = migration.statements(dialect).count
            return "\(dryRun ? "pending" : "applied") \(migration.component) \(migration.number): \(migration.name) "
                + "(\(steps) \(steps == 1 ? "step" : "steps"))"
        }.joined(separator: "\n")
    }

    private func asJSON(_ migrations: [Migration], _ dialect: Dialect) -> String {
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
            })
    }
}
