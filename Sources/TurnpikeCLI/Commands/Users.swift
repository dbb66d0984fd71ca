import ArgumentParser
import AuthPlugin
import NIOCore
import OpenAIWire
import Persistence

/// `turnpike users …`.
struct Users: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Create and list users. Conversations, keys and activity belong to a user.",
        subcommands: [Create.self, List.self])

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Create a user and print the user's id.")

        @OptionGroup var options: ConfigurationOption
        @Argument(help: "The new user's name, unique and case-sensitive.")
        var name: String

        func run() async throws {
            try await reporting {
                try await KeyAdministration.open(try options.load()) { store in
                    print(try await store.createUser(name).id)
                }
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List users by name.")

        @OptionGroup var options: ConfigurationOption
        @Flag(help: "Print a JSON array instead of a table.")
        var json = false

        func run() async throws {
            try await reporting {
                try await KeyAdministration.open(try options.load()) { store in
                    let users = try await KeyAdministration.allUsers(store)
                    print(json ? Self.json(users) : Self.table(users))
                }
            }
        }

        private static func table(_ users: [UserInfo]) -> String {
            var table = Table(["NAME", "ID", "CREATED"])
            for user in users { table.add([user.name, "\(user.id)", user.created.text]) }
            return table.text
        }

        private static func json(_ users: [UserInfo]) -> String {
            String(
                buffer: JSONWriter.array { array in
                    for user in users {
                        array.element(object: { json in
                            json.member("id", "\(user.id)")
                            json.member("name", user.name)
                            json.member("created_at", user.created.text)
                        })
                    }
                })
        }
    }
}
