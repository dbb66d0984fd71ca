import ArgumentParser
import AuthPlugin
import Persistence

/// Which key a command is about: a user's key of a name, or of an id.
struct ChosenKey: ParsableArguments {
    @Option(help: "The user the key belongs to.")
    var user: String
    @Option(help: "The key's name.")
    var name: String?
    @Option(help: "Instead of its name: the key's id, as `turnpike keys list` shows it.")
    var id: KeyID?

    /// What an operator copies: the id of a list, or one of the activity log.
    struct KeyID: ExpressibleByArgument {
        let id: UniqueID

        init?(argument: String) {
            guard let id = UniqueID(argument, prefix: "key_") else { return nil }
            self.id = id
        }
    }

    func validate() throws {
        guard (name == nil) != (id == nil) else { throw ValidationError("Say which key: --name or --id.") }
    }

    /// One of them is there: see ``validate()``.
    var choice: KeyChoice { id.map { .id($0.id) } ?? .name(name ?? "") }
}
