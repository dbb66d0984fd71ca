import Persistence
import TurnpikeKit

/// What in an export for people is no text of a message: lines that begin a message, and those between sessions.
///
/// A line of a text that looks like one of them, behind any number of backslashes, gets one backslash more in front, and
/// loses it when it is read: so every text comes back, and nearly none looks different.
enum MarkdownText {
    typealias Line = ArraySlice<UInt8>

    static let separator = "---"
    private static let headingMark = Array("## ".utf8)
    private static let backslash = UInt8(ascii: "\\")
    private static let lineFeed = UInt8(ascii: "\n")

    /// What begins a message.
    struct Heading: Equatable {
        var role: String
        /// In whole seconds since 1970.
        var createdAt: Int?

        /// `## role` or `## role, time`; nil for any other line.
        init?(_ line: Line) {
            guard line.starts(with: headingMark), line.count < 64 else { return nil }
            let parts = String(decoding: line.dropFirst(headingMark.count), as: UTF8.self).split(
                separator: ", ", omittingEmptySubsequences: false)
            guard let role = parts.first.map(String.init), MarkdownText.roles.contains(role), parts.count < 3 else {
                return nil
            }
            self.role = role
            guard parts.count == 2 else { return }
            guard let time = ISOTime.seconds(parts[1]) else { return nil }
            createdAt = time
        }
    }

    /// Those that headings have. What is said by others is `other`.
    private static let roles: Set = ["system", "developer", "user", "assistant", "tool", "function", "other"]

    static func heading(role: String, _ time: Timestamp?) -> String {
        "## \(roles.contains(role) ? role : "other")" + (time.map { ", \(ISOTime.text($0))" } ?? "")
    }

    static func isSeparator(_ line: Line) -> Bool { line.elementsEqual(separator.utf8) }

    private static func isMark(_ line: Line) -> Bool {
        let line = withoutReturn(line)
        return isSeparator(line) || Heading(line) != nil
    }

    /// A line as an editor of Windows may have left it.
    static func withoutReturn(_ line: Line) -> Line { line.last == UInt8(ascii: "\r") ? line.dropLast() : line }

    /// A text between its marks.
    static func escaped(_ text: String) -> String {
        var escaped: [UInt8] = []
        for line in Array(text.utf8).split(separator: lineFeed, omittingEmptySubsequences: false) {
            if isMark(line.drop { $0 == backslash }) { escaped.append(backslash) }
            escaped += line
            escaped.append(lineFeed)
        }
        return String(decoding: escaped.dropLast(), as: UTF8.self)
    }

    /// A line of a text as it was.
    static func unescaped(_ line: Line) -> Line {
        line.first == backslash && isMark(line.drop { $0 == backslash }) ? line.dropFirst() : line
    }
}
