import NIOCore
import Server
import TurnpikeKit

/// The `server` section.
package struct ServerSettings: Sendable, Equatable {
    package var host: String
    package var port: Int
    /// `host:port` of the second listener for health checks and administration; `nil` for none.
    package var admin: Endpoint?
    package var tls: TLSFiles?
    package var threads: Int
    package var maxHead: Int
    package var maxBody: Int
    package var maxBuffered: Int
    package var maxConnections: Int
    package var headTimeout: Duration
    package var bodyTimeout: Duration
    package var idleTimeout: Duration
    package var writeTimeout: Duration
    package var drainTimeout: Duration
    package var allowedOrigins: [String]

    package struct Endpoint: Sendable, Equatable, CustomStringConvertible {
        package var host: String
        package var port: Int

        package init(host: String, port: Int) {
            self.host = host
            self.port = port
        }

        /// As a URL has it: an IPv6 address stands in brackets.
        package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

        /// Whether nobody can listen on both: the same port, which is not 0, of the same host or of all.
        func excludes(_ other: Endpoint) -> Bool {
            let everywhere = ["0.0.0.0", "::"]
            return port == other.port && port != 0
                && (host == other.host || everywhere.contains(host) || everywhere.contains(other.host))
        }
    }

    package struct TLSFiles: Sendable, Equatable {
        package var certificate: String
        package var key: String
    }

    init(_ section: ConfigurationSection) throws {
        let (limits, timeouts) = (ServerConfiguration.Limits(), ServerConfiguration.Timeouts())
        host = try section.string("host", default: "127.0.0.1")
        port = try section.int("port", default: 8080, in: 0...65_535)
        admin = try Self.admin(section)
        if admin?.excludes(Endpoint(host: host, port: port)) == true {
            throw section.error("admin", "clients are served there: choose another port than \(port)")
        }
        tls = try Self.tls(section)
        threads = try section.int("threads", default: 0, in: 0...256)
        maxHead = try section.bytes("max_head", default: limits.headBytes)
        maxBody = try section.bytes("max_body", default: limits.bodyBytes)
        maxBuffered = try section.bytes("max_buffered", default: 512 << 20)
        maxConnections = try section.int("max_connections", default: limits.connections, in: 1...1_000_000)
        headTimeout = try section.duration("head_timeout", default: Duration(timeouts.head))
        bodyTimeout = try section.duration("body_timeout", default: Duration(timeouts.body))
        idleTimeout = try section.duration("idle_timeout", default: Duration(timeouts.keepAlive))
        writeTimeout = try section.duration("write_timeout", default: Duration(timeouts.write))
        drainTimeout = try section.duration("drain_timeout", default: Duration(timeouts.drain))
        allowedOrigins = try section.strings("cors_origins") ?? []
        guard maxBuffered >= maxBody else { throw section.error("max_buffered", "must be at least max_body") }
    }

    private static func admin(_ section: ConfigurationSection) throws -> Endpoint? {
        guard let text = try section.string("admin") else { return nil }
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (0...65_535).contains(port)
        else { throw section.error("admin", "expected HOST:PORT, found “\(text)”") }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        return Endpoint(host: String(host), port: port)
    }

    private static func tls(_ section: ConfigurationSection) throws -> TLSFiles? {
        let files = try section.section("tls")
        switch (files.has("certificate"), files.has("key")) {
        case (false, true): throw files.error("key", "needs a certificate beside it")
        case (true, false): throw files.error("certificate", "needs a key beside it")
        default: break
        }
        guard let certificate = try files.file("certificate"), let key = try files.file("key") else { return nil }
        do throws(ServerConfiguration.TLSFiles.Mistake) {
            try ServerConfiguration.TLSFiles.check(certificate: certificate, key: key)
        } catch {
            throw files.error(error == .certificate ? "certificate" : "key", error.description)
        }
        return TLSFiles(
            certificate: try files.string("certificate", default: ""), key: try files.string("key", default: ""))
    }
}
