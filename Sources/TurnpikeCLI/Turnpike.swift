import ArgumentParser

/// The executable: composition root and commands; the only place that names concrete types.
@main
struct Turnpike: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "turnpike",
        abstract: "A middleware proxy for OpenAI-compatible APIs: keys per user, conversations kept on the server.",
        discussion: """
            Try it without any configuration:

              turnpike demo

            Run it for real:

              turnpike keys create --config config/turnpike.yaml \\
                --user alice --name laptop --create-user
              turnpike serve --config config/turnpike.yaml
            """,
        version: Version.text,
        subcommands: [
            Serve.self, Check.self, Migrate.self, Spool.self, Users.self, Keys.self, Demo.self, TokensCommand.self,
            ShowVersion.self,
        ])
}

/// What this build calls itself.
enum Version {
    static let text = "0.1.0"
}

/// `turnpike version`.
struct ShowVersion: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Print the version.")

    func run() { print("turnpike \(Version.text)") }
}
