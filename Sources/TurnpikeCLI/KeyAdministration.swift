import AuthPlugin
import Logging
import Persistence
import PersistenceSQLite
import TurnpikeKit
import TurnpikeRuntime

/// Users and keys for the commands, over the configured database and hash key.
enum KeyAdministration {
    /// Opens the database, brings its schema up to date, and closes it again behind `body`. One that does not answer is
    /// left as it is.
    static func open(_ configuration: GatewayConfiguration, _ body: (KeyStore) async throws -> Void) async throws {
        let logger = Logger(label: "turnpike")
        let auth = try AuthConfiguration(configuration.root.section("auth"))
        let database = Composition.database(configuration.database, logger: logger)
        do {
            _ = try await Migrator(AuthMigrations.all, logger: logger).migrate(database)
            try await body(KeyStore(database: database, hashKeys: auth.hashKeys))
        } catch {
            await Patience.wait(.seconds(1)) { await database.close() }
            throw error
        }
        await database.close()
    }

    /// Opens the database for a command that changes keys of a user, who must be there unless the command makes it.
    static func change(
        _ user: String, _ options: ConfigurationOption, createIfMissing: Bool = false,
        _ body: (KeyStore, UserInfo) async throws -> Void
    ) async throws {
        try await reporting {
            try await open(try options.load()) { store in
                let owner = try await self.user(named: user, createIfMissing: createIfMissing, in: store)
                do {
                    try await body(store, owner)
                } catch let error as KeyStoreError where error == .keyNotFound {
                    throw CommandFailure("\(error): see `turnpike keys list --user \(shellWord(user))`")
                }
            }
        }
    }

    static func user(named name: String, createIfMissing: Bool, in store: KeyStore) async throws -> UserInfo {
        if let user = try await store.findUser(named: name) { return user }
        guard createIfMissing else {
            throw CommandFailure(
                "there is no user “\(name)”: see `turnpike users list`; `turnpike keys create --create-user` makes one")
        }
        return try await store.createUser(name)
    }

    /// A name as a shell takes it.
    private static func shellWord(_ name: String) -> String {
        let isPlain = name.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || [0x2D, 0x2E, 0x40, 0x5F].contains(byte)
        }
        return isPlain ? name : "'\(name.replacing("'", with: "'\\''"))'"
    }

    static func allUsers(_ store: KeyStore) async throws -> [UserInfo] {
        var users: [UserInfo] = []
        while true {
            let page = try await store.listUsers(after: users.last?.name ?? "")
            guard !page.isEmpty else { return users }
            users += page
        }
    }
}
