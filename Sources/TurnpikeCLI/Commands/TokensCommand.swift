import ArgumentParser
import NIOCore
import OpenAIWire
import Tokens
import TurnpikeRuntime

/// `turnpike tokens …`.
struct TokensCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokens", abstract: "Count tokens as the models do.", subcommands: [Count.self])

    struct Count: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Count the tokens of texts, or of a request.",
            usage: """
                turnpike tokens count [--encoding <encoding> | --model <model>]
                         [--request <request> [--json]] [--config <config>]
                """,
            discussion: """
                Texts are JSON strings, one a line, from the standard input; for each, its count is printed:

                  printf '%s\\n' '"hello world"' '"tab\\tand \\u00e9"' |
                    turnpike tokens count --encoding cl100k_base

                A request is the body of POST /v1/chat/completions, from a file, or from the standard input for "-":

                  turnpike tokens count --model gpt-4o --request body.json
                """)

        @Option(help: "cl100k_base, o200k_base or o200k_harmony. For texts the default is o200k_base.")
        var encoding: String?
        @Option(help: "Count as for this model. For a request the default is the one that it names.")
        var model: String?
        @Option(help: "Count the request in this file.")
        var request: String?
        @Option(name: [.customLong("config"), .customShort("c")], help: "A configuration, for its model_catalogue.")
        var config: String?
        @ArgumentParser.Flag(help: "Print the counts of a request as JSON.")
        var json = false

        func validate() throws {
            if encoding != nil, model != nil { throw ValidationError("--encoding and --model exclude each other.") }
            if json, request == nil { throw ValidationError("--json is for requests: name one with --request.") }
        }

        func run() async throws {
            try await reporting {
                let known = try chosenEncoding()
                let catalogue = try config.map { try GatewayConfiguration.read($0).models } ?? .shipped
                if let request {
                    try countRequest(request, known, catalogue)
                } else {
                    let facts = model.flatMap(catalogue.facts)
                    let counter = TokenCounter(
                        known.map(TokenCounter.Method.exact) ?? method(facts), images: facts?.images ?? .standard)
                    var lines = LineCounter(counter: counter)
                    try lines.run()
                }
            }
        }

        private func chosenEncoding() throws -> TokenEncoding? {
            guard let encoding else { return nil }
            guard let known = TokenEncoding(name: encoding) else {
                throw CommandFailure(
                    "there is no encoding “\(encoding)”; known: cl100k_base, o200k_base, o200k_harmony")
            }
            return known
        }

        /// Without a model texts are counted in the encoding of the newer ones.
        private func method(_ facts: ModelFacts?) -> TokenCounter.Method {
            guard model != nil else { return .exact(.o200k) }
            return TokenCounter(facts).method
        }

        private func countRequest(_ file: String, _ encoding: TokenEncoding?, _ catalogue: ModelCatalogue) throws {
            guard let text = ProcessFiles.read(file == "-" ? "/dev/stdin" : file) else {
                throw CommandFailure("\(file): cannot be read")
            }
            let bytes = ByteBuffer(string: text)
            try JSON.validate(bytes)
            let chat = try ChatRequest(scanning: bytes)
            let name = model ?? chat.model
            let facts = encoding == nil ? catalogue.facts(for: name) : nil
            let counter = encoding.map { TokenCounter(.exact($0)) } ?? TokenCounter(facts)
            let report = RequestReport(
                model: name, method: counter.method, facts: facts, tokens: try counter.count(chat),
                outputLimit: try chat.outputLimit())
            StandardOutput.print(json ? report.json : report.table)
        }
    }
}
