import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Server
import Testing
import TurnpikeKit
import TurnpikeTesting

/// TLS on the listener.
@Suite(.timeLimit(.minutes(5))) struct TLSTests {
    @Test func servesOverTLS() async throws {
        let files = try CertificateFiles()
        defer { files.remove() }
        try await TestServer.with(echo, { $0.tls = .init(certificate: files.certificate, key: files.key) }) { server in
            let client = try await RawClient.connect(to: server.address, tls: TLSTests.clientContext())
            for text in ["hello", "again"] {
                try await client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n\(text)")
                _ = try await client.receive { $0.hasSuffix(text) }
            }
            try await client.close()
            #expect(await server.handler.outcomes(2).map(\.word) == ["completed", "completed"])
        }
    }

    @Test func tellsAClientThatStillSendsWhyItsBodyIsRefused() async throws {
        let files = try CertificateFiles()
        defer { files.remove() }
        try await TestServer.with(
            echo,
            {
                $0.tls = .init(certificate: files.certificate, key: files.key)
                $0.limits.bodyBytes = 1000
            }
        ) { server in
            let client = try await RawClient.connect(to: server.address, tls: TLSTests.clientContext())
            try await client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4000000\r\n\r\n")
            client.sendWithoutWaiting(ByteBuffer(repeating: 0x61, count: 4_000_000))
            let answer = try await client.receive { $0.contains("request_too_large") }
            #expect(answer.hasPrefix("HTTP/1.1 413 "))
            try await client.close()
        }
    }

    @Test func noticesAClientThatLeaves() async throws {
        let files = try CertificateFiles()
        defer { files.remove() }
        let source = Signal<ScriptedSource>()
        try await TestServer.with(
            streaming(source, type: "text/event-stream"),
            { $0.tls = .init(certificate: files.certificate, key: files.key) }
        ) { server in
            let client = try await RawClient.connect(to: server.address, tls: TLSTests.clientContext())
            try await client.send(StreamingTests.get)
            await source.value.push("data: 1\n\n")
            _ = try await client.receive { $0.contains("data: 1") }
            try await client.close()
            #expect(await source.value.cancelled.value)
            #expect(await server.handler.outcomes(1).map(\.word) == ["clientLeft"])
        }
    }

    @Test func closesAConnectionThatSpeaksPlainHTTP() async throws {
        let files = try CertificateFiles()
        defer { files.remove() }
        try await TestServer.with(echo, { $0.tls = .init(certificate: files.certificate, key: files.key) }) { server in
            let client = try await server.connect()
            try await client.send(StreamingTests.get)
            #expect(!(await client.receiveAll()).contains("HTTP/1.1"))
            #expect(server.handler.begun.isEmpty)
        }
    }

    @Test func doesNotStartWithoutItsCertificate() async throws {
        await #expect(throws: (any Error).self) {
            try await TestServer.with(echo, { $0.tls = .init(certificate: "/nonexistent", key: "/nonexistent") }) { _ in
            }
        }
    }

    @Test func saysWhichFileIsNotWhatItShouldBe() {
        func mistake(_ certificate: String, _ key: String) -> ServerConfiguration.TLSFiles.Mistake? {
            do throws(ServerConfiguration.TLSFiles.Mistake) {
                try ServerConfiguration.TLSFiles.check(certificate: certificate, key: key)
                return nil
            } catch {
                return error
            }
        }
        let (certificate, key) = (TestCertificate.certificate, TestCertificate.key)
        #expect(mistake(certificate, key) == nil)
        #expect(mistake(key, key) == .certificate)
        #expect(mistake("", key) == .certificate)
        #expect(mistake(certificate, certificate) == .key)
        #expect(mistake(certificate, TestCertificate.anotherKey) == .pair)
    }

    private static func clientContext() throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        // The certificate is made up; what matters here is what the server does.
        configuration.certificateVerification = .none
        return try NIOSSLContext(configuration: configuration)
    }
}

/// ``TestCertificate`` and its key as files.
private struct CertificateFiles {
    let certificate: String
    let key: String

    init() throws {
        let base = TestServer.path()
        certificate = base + ".cert.pem"
        key = base + ".key.pem"
        try CertificateFiles.write(TestCertificate.certificate, to: certificate)
        try CertificateFiles.write(TestCertificate.key, to: key)
    }

    func remove() {
        unlink(certificate)
        unlink(key)
    }

    private static func write(_ text: String, to path: String) throws {
        let file = try #require(fopen(path, "w"))
        fputs(text, file)
        fclose(file)
    }
}
