import Glibc
import NIOCore
import OpenAIWire
import Tokens

/// Counts JSON strings, one a line, from the standard input to the standard output. What has been read is answered
/// before more is waited for, and of the input one line is held at most.
struct LineCounter {
    private let counter: TokenCounter
    private var answers = ""

    init(counter: TokenCounter) { self.counter = counter }

    /// Throws for the first line that is no JSON string, with its number; the counts of those before have been printed.
    mutating func run() throws {
        defer { flush() }
        var (line, piece, number) = ([UInt8](), [UInt8](repeating: 0, count: 1 << 18), 0)
        while true {
            let count = read(STDIN_FILENO, &piece, piece.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw CommandFailure("the standard input cannot be read")
            }
            if count == 0 { break }
            var start = 0
            while let end = piece[start..<count].firstIndex(of: UInt8(ascii: "\n")) {
                line += piece[start..<end]
                start = end + 1
                number += 1
                try answer(line, number)
                line.removeAll(keepingCapacity: true)
            }
            line += piece[start..<count]
            flush()
        }
        if !line.isEmpty { try answer(line, number + 1) }
    }

    private mutating func answer(_ line: [UInt8], _ number: Int) throws {
        let bytes = ByteBuffer(bytes: line)
        guard (try? JSON.validate(bytes)) != nil, let text = (try? JSONValue(scanning: bytes))?.text else {
            throw CommandFailure("line \(number): expected a JSON string")
        }
        if !answers.isEmpty { answers += "\n" }
        answers += "\(counter.count(text: text).tokens)"
    }

    private mutating func flush() {
        guard !answers.isEmpty else { return }
        StandardOutput.print(answers)
        answers.removeAll(keepingCapacity: true)
    }
}
