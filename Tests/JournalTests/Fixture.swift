import Journal
import Logging
import NIOCore
import Persistence
import Synchronization
import TurnpikeTesting

/// Short ways to use a journal in the directory "j" of a simulated disk.
enum Fixture {
    static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    static func open(_ disk: SimulatedDisk, max: Int = 1 << 20, segment: Int = 1 << 16) throws -> Journal {
        var configuration = JournalConfiguration(directory: "j", maxBytes: max)
        configuration.segmentBytes = segment
        return try Journal(configuration, on: disk, logger: logger)
    }

    /// Opens it for the time of a closure.
    static func with<Value>(
        _ disk: SimulatedDisk, max: Int = 1 << 20, segment: Int = 1 << 16, _ body: (Journal) async throws -> Value
    ) async throws -> Value {
        let journal = try open(disk, max: max, segment: segment)
        do {
            let value = try await body(journal)
            await journal.close()
            return value
        } catch {
            await journal.close()
            throw error
        }
    }

    static func segments(_ disk: SimulatedDisk) -> [String] { disk.paths.filter { $0.hasSuffix(".segment") } }
}

extension Journal {
    @discardableResult
    func append(_ text: String) async throws -> UInt64 { try await append(ByteBuffer(string: text)).sequence }

    /// The texts of the records that wait, in order.
    var texts: [String] {
        get async throws {
            var texts: [String] = []
            for entry in entries {
                guard let payload = try await read(entry.sequence) else { continue }
                texts.append(String(buffer: payload))
            }
            return texts
        }
    }
}
