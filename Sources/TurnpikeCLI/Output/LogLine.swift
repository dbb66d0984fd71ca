import Logging
import NIOCore
import OpenAIWire

/// A log line in the two forms. Values are escaped, so a line stays one line whatever a client sent.
enum LogLine {
    static func text(
        _ time: String, _ level: Logger.Level, _ message: String, _ values: [(key: String, value: Logger.MetadataValue)]
    )
        -> String
    {
        var line = "\(time) \(level.rawValue.uppercased()) \(printable(message))"
        for (key, value) in values { line += " \(key)=\(quoted("\(value)"))" }
        return line
    }

    static func json(
        _ time: String, _ level: Logger.Level, _ message: String, _ values: [(key: String, value: Logger.MetadataValue)]
    )
        -> String
    {
        String(
            buffer: JSONWriter.object { json in
                json.member("time", time)
                json.member("level", level.rawValue)
                json.member("message", message)
                for (key, value) in values { json.member(key, "\(value)") }
            })
    }

    private static func quoted(_ text: String) -> String {
        let isPlain =
            !text.isEmpty
            && text.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value < 0x7f && $0 != "\"" && $0 != "=" }
        return isPlain ? text : String(buffer: JSONWriter.string(text))
    }

    private static func printable(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7f ? " " : $0 }))
    }
}
