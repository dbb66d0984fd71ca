import ArgumentParser
import AuthPlugin
import Persistence
import TurnpikeKit

/// `turnpike keys …`.
struct Keys: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Create, list, change, rotate and revoke the keys that clients use.",
        subcommands: [Create.self, List.self, Update.self, Rotate.self, Revoke.self])

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Create a key and print it, and nothing else, on stdout.",
            usage: """
                turnpike keys create [--config <config>] --user <user> --name <name>
                         [--create-user] [--admin] [--expires-in-days <expires-in-days>]
                         [--history-mode <history-mode>]
                """,
            discussion: "The key is shown this once: Turnpike keeps only a hash of it.")

        @OptionGroup var options: ConfigurationOption
        @Option(help: "The user the key belongs to.")
        var user: String
        @Option(help: "What the key is for; unique among the user's live keys.")
        var name: String
        @Flag(help: "Create the user if there is none of that name.")
        var createUser = false
        @Flag(
            help:
                "Also give the key the scope “admin”. No endpoint asks for it yet: users and keys are administered by commands."
        )
        var admin = false
        @Option(help: "Days until the key expires; without it, it does not.", transform: Expiry.moment)
        var expiresInDays: Timestamp?
        @Option(
            help:
                "What the messages of its requests are, where neither the request nor its session says: auto, append, replace or off. Without it, as configured."
        )
        var historyMode: HistoryModeArgument?

        func run() async throws {
            try await KeyAdministration.change(user, options, createIfMissing: createUser) { store, owner in
                let request = KeyRequest(
                    userID: owner.id, name: name, scopes: admin ? [.chat, .admin] : .chat,
                    expires: expiresInDays, historyMode: historyMode?.mode)
                StandardOutput.print(try await store.createKey(request).secret.reveal())
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List keys, revoked and expired ones too.",
            discussion: """
                A key that was rotated is “replaced”: it works until EXPIRES.

                HASH KEY is the id, in auth.hash_keys, of the key that an API key is stored with. Each use of an API \
                key stores it with the current one: when no live key shows a former id, that one can go.
                """)

        @OptionGroup var options: ConfigurationOption
        @Option(help: "Only this user's keys.")
        var user: String?
        @Flag(help: "Print a JSON array instead of a table.")
        var json = false

        func run() async throws {
            try await reporting {
                try await KeyAdministration.open(try options.load()) { store in
                    var listed: [(user: String, key: KeyInfo)] = []
                    for owner in try await owners(in: store) {
                        listed += try await store.listKeys(of: owner.id).map { (owner.name, $0) }
                    }
                    print(json ? KeyListing.json(listed) : KeyListing.table(listed))
                }
            }
        }

        private func owners(in store: KeyStore) async throws -> [UserInfo] {
            guard let user else { return try await KeyAdministration.allUsers(store) }
            return [try await KeyAdministration.user(named: user, createIfMissing: false, in: store)]
        }
    }

    struct Update: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Change how a live key has histories treated. Every running process knows within two seconds.",
            usage: """
                turnpike keys update [--config <config>] --user <user> --name <name>
                         --history-mode <history-mode>
                """)

        @OptionGroup var options: ConfigurationOption
        @Option(help: "The user the key belongs to.")
        var user: String
        @Option(help: "The key's name.")
        var name: String
        @Option(help: "auto, append, replace or off; default: as configured.")
        var historyMode: HistoryModeArgument

        func run() async throws {
            try await KeyAdministration.change(user, options) { store, owner in
                let key = try await store.setHistoryMode(historyMode.mode, ofKeyNamed: name, of: owner.id)
                let mode = key.historyMode?.rawValue ?? "as configured"
                StandardError.print("\(key.prefix)… (\(key.name)) of \(owner.name): history mode \(mode)")
            }
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Revoke a key. Every running process refuses it within two seconds.",
            usage: """
                turnpike keys revoke [--config <config>] --user <user>
                         (--name <name> | --id <id>)
                """,
            discussion: "With --name, those that it has replaced are revoked too; with --id, this one alone.")

        @OptionGroup var options: ConfigurationOption
        @OptionGroup var key: ChosenKey

        func run() async throws {
            try await KeyAdministration.change(key.user, options) { store, owner in
                let key =
                    switch key.choice {
                    case .id(let id): try await store.revokeKey(id, of: owner.id)
                    case .name(let name): try await store.revokeKey(named: name, of: owner.id)
                    }
                StandardError.print("revoked \(key.prefix)… (\(key.name)) of \(owner.name)")
            }
        }
    }
}
