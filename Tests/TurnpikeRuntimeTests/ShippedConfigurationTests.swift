import Foundation
import Testing
import TurnpikeKit
import TurnpikeTesting

@testable import TurnpikeRuntime

/// `config/turnpike.yaml` teaches the keys of the server: what it shows is what the program does.
@Suite struct ShippedConfigurationTests {
    private static let lines: [Substring] = {
        let root = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let text = try? String(contentsOf: root.appendingPathComponent("config/turnpike.yaml"), encoding: .utf8)
        return (text ?? "").split(separator: "\n", omittingEmptySubsequences: false)
    }()

    /// The section `server`, the keys that are commented out included.
    private static let server: [String] = lines.drop { $0 != "server:" }.prefix { !$0.isEmpty }.map {
        $0.hasPrefix("  # ") ? "  " + $0.dropFirst(4) : String($0)
    }

    /// What has no default but only an example.
    private static func isExample(_ line: String) -> Bool { line.hasPrefix("  admin:") || line.hasPrefix("  tls:") }

    @Test func showsTheServersDefaults() throws {
        let shown = Self.server.filter { !Self.isExample($0) }
        #expect(shown.count == 14)
        #expect(try configuration(shown.joined(separator: "\n")).server == configuration().server)
    }

    @Test func showsAdminAndTLSAsTheyCanBeWritten() throws {
        let files = ["server.pem": TestCertificate.certificate, "server.key": TestCertificate.key]
        let read = try configuration(Self.server.joined(separator: "\n"), files: files).server
        #expect(read.admin?.port == 8081)
        #expect(read.tls?.certificate == "server.pem" && read.tls?.key == "server.key")
    }

    @Test func showsTheDefaultsOfTheSessionCache() throws {
        let shown = Self.lines.drop { $0 != "# session_cache:" }.prefix { !$0.isEmpty }.map { $0.dropFirst(2) }
        #expect(shown.count == 3)
        #expect(try configuration(shown.joined(separator: "\n")).sessionCache == configuration().sessionCache)
        #expect(try configuration("session_cache: { shared_database: false }").sessionCache.sharing == .no)
        #expect(try configuration("session_cache: { shared_database: true }").sessionCache.sharing == .yes)
    }
}
