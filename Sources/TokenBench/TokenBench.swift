import ArgumentParser
import Glibc
import Tokens

/// Measures how fast tokens of a text are counted. `scripts/bench-tokens` runs this beside other implementations and makes a table.
@main
struct TokenBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Count the tokens of the standard input and print one line of JSON: tokens and seconds of CPU.")

    @Option(help: "cl100k_base or o200k_base.") var encoding = "o200k_base"

    func run() throws {
        guard let encoding = TokenEncoding(name: encoding) else {
            throw ValidationError("The encoding is one of \(TokenEncoding.allCases.map(\.rawValue)).")
        }
        let text = Self.standardInput()
        let tokenizer = Tokenizer(encoding)
        // What the text needs of the tables is resident afterwards.
        _ = text.withUnsafeBytes { tokenizer.count(utf8: $0) }
        let start = Self.seconds()
        let tokens = text.withUnsafeBytes { tokenizer.count(utf8: $0) }
        print(#"{"tokens": \#(tokens), "seconds": \#(Self.seconds() - start)}"#)
    }

    /// Everything that can be read there.
    private static func standardInput() -> [UInt8] {
        var text: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while case let count = read(STDIN_FILENO, &chunk, chunk.count), count > 0 { text += chunk[..<count] }
        return text
    }

    /// CPU time of this process.
    private static func seconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
