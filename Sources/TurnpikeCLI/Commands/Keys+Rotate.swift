import ArgumentParser
import AuthPlugin
import Persistence
import TurnpikeKit

extension Keys {
    /// `turnpike keys rotate`.
    struct Rotate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Replace a key by a new one, which is printed alone on stdout.",
            usage: """
                turnpike keys rotate [--config <config>] --user <user>
                         (--name <name> | --id <id>) [--grace <grace>]
                         [--expires-in-days <expires-in-days>] [--json]
                """,
            discussion: """
                The new key has the user, name, scopes, history mode and expiry of the old one, and is shown this once. \
                The old one works until --grace is over, and is then refused as an expired one. Every running process \
                knows both within two seconds. `turnpike keys revoke --id` ends the old one sooner.

                A key that was revoked, has expired or was replaced already cannot be rotated. When a new key was lost \
                before anybody had read it, rotate once more by name: that replaces the lost one.
                """)

        @OptionGroup var options: ConfigurationOption
        @OptionGroup var key: ChosenKey
        @Option(help: "How long the old key still works, such as 30m, 24h or 7d; 0s ends it at once.")
        var grace = DurationArgument(argument: "24h")!
        @Option(
            help: "Days until the new key expires; without it, it does when the old one would have.",
            transform: Expiry.moment)
        var expiresInDays: Timestamp?
        @Flag(help: "Print a JSON object with the new key, and what is known of both, instead of the key alone.")
        var json = false

        func validate() throws {
            guard grace.duration <= KeyStore.longestGrace else {
                throw ValidationError("--grace takes a duration from 0s to 366d.")
            }
        }

        func run() async throws {
            try await KeyAdministration.change(key.user, options) { store, owner in
                let rotation = try await store.replaceKey(
                    key.choice, of: owner.id, grace: grace.duration, expires: expiresInDays)
                let (new, old) = (rotation.new, rotation.old)
                // The new key first: nobody can read it again.
                StandardOutput.print(json ? KeyListing.json(rotation, of: owner.name) : new.secret.reveal())
                StandardError.print(
                    """
                    \(old.prefix)… (\(old.name)) of \(owner.name) works until \(old.expires?.text ?? "it is revoked"), \
                    the new key \(new.info.prefix)… \(new.info.expires.map { "until \($0.text)" } ?? "without an end")
                    """)
            }
        }
    }
}
