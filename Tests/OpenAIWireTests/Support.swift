import Foundation
import NIOCore
import OpenAIWire
import Testing

extension ByteBuffer {
    /// The bytes as text, for comparisons that a person can read.
    var utf8Text: String { String(buffer: self) }
}

/// One request that a real client sent, from the recordings in `Tests/Recorded`.
struct Recording: Sendable, CustomTestStringConvertible {
    let name: String
    let target: String
    let body: ByteBuffer

    var testDescription: String { name }

    private static let folder = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Recorded")

    /// Every recorded request with a body.
    static let all: [Recording] = {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return files.sorted().filter { $0.hasSuffix(".json") }.flatMap { (try? load($0)) ?? [] }
    }()

    /// The chat completions among them.
    static let chats = all.filter { $0.target == "/v1/chat/completions" }

    private static func load(_ file: String) throws -> [Recording] {
        let data = try Data(contentsOf: folder.appendingPathComponent(file))
        return try JSONArray.elements(of: ByteBuffer(bytes: data)).compactMap { element in
            guard let object = try element.object(), let body = object["body"]?.text, body.readableBytes > 0 else {
                return nil
            }
            let kind = object["kind"]?.string ?? ""
            return Recording(name: "\(file): \(kind)", target: object["target"]?.string ?? "", body: body)
        }
    }
}
