import Foundation
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Testing
import TurnpikeKit

@testable import Upstream

/// HTTPS with an authority that openssl makes for the test.
@Suite(.timeLimit(.minutes(5)))
struct TLSTests {
    @Test func trustsNobodyWhomTheSystemDoesNotKnow() async throws {
        try await withTLSServer { upstream, authority in
            let error = try await gatewayError { _ = try await upstream.get(authority: nil) }
            #expect(error.code == "upstream_tls_failed")
            #expect(error.status == .badGateway)
            #expect(error.retry == .safe)
            let response = try await upstream.get(authority: authority)
            #expect(response.status == .ok)
        }
    }

    @Test func checksTheNameInTheCertificate() async throws {
        try await withTLSServer(name: "other.example") { upstream, authority in
            let error = try await gatewayError { _ = try await upstream.get(authority: authority) }
            #expect(error.code == "upstream_tls_failed")
        }
    }

    @Test func saysWhenTheAuthorityCannotBeRead() async throws {
        try await withTLSServer { upstream, authority in
            let error = try await gatewayError { _ = try await upstream.get(authority: authority + ".missing") }
            #expect(error.code == "upstream_tls_failed")
        }
    }

    @Test func readsWhatLiesDecryptedAfterAPause() async throws {
        try await withTLSServer(bodyBytes: 4 << 20) { upstream, authority in
            let source = try await upstream.get(authority: authority).stream()
            let sink = RecordingSink(onFirst: { source.setPaused(true) })
            source.start(sink)
            try await sink.received(1)
            source.setPaused(false)
            #expect(try await sink.failure() == nil)
            #expect(sink.bytes == pattern(4 << 20))
        }
    }

    struct TLSFixture {
        let client: CurlUpstreamClient
        let port: Int
        let eventLoop: any EventLoop

        func get(authority: String?) async throws -> Response {
            let exchange = Exchange(
                head: RequestHead(method: .GET, target: "/"), eventLoop: eventLoop, logger: Logger(label: "test"))
            let request = UpstreamRequest(
                method: .GET, url: "https://localhost:\(port)/", headers: [:], body: .empty,
                connection: UpstreamConnection(certificateAuthority: authority))
            return try await client.send(request, in: exchange)
        }
    }

    /// A server with a certificate for `name`; the test gets the path of its authority's certificate.
    private func withTLSServer(
        name: String = "localhost", bodyBytes: Int = 5, _ test: (TLSFixture, String) async throws -> Void
    ) async throws {
        let folder = try Certificates(name: name)
        defer { folder.remove() }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let context = try NIOSSLContext(
            configuration: .makeServerConfiguration(
                certificateChain: NIOSSLCertificate.fromPEMFile(folder.path("server.pem")).map { .certificate($0) },
                privateKey: .privateKey(NIOSSLPrivateKey(file: folder.path("server.key"), format: .pem))))
        let answer = pattern(bodyBytes)
        let server = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context))
                    try channel.pipeline.syncOperations.addHandler(AnswerHandler(answer))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let client = try CurlUpstreamClient(eventLoops: [group.next()], logger: Logger(label: "test"))
        let port = try #require(server.localAddress?.port)
        let result: Result<Void, any Error>
        do {
            try await test(TLSFixture(client: client, port: port, eventLoop: group.next()), folder.path("ca.pem"))
            result = .success(())
        } catch {
            result = .failure(error)
        }
        await client.shutdown()
        try await server.close()
        try await group.shutdownGracefully()
        try result.get()
    }
}

/// Answers every request without a body.
private final class AnswerHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    private let body: [UInt8]
    private var received = ByteBuffer()

    init(_ body: [UInt8]) { self.body = body }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received.writeImmutableBuffer(unwrapInboundIn(data))
        guard received.readableBytesView.suffix(4).elementsEqual("\r\n\r\n".utf8) else { return }
        received.clear()
        var answer = ByteBuffer(string: "HTTP/1.1 200 OK\r\nContent-Length: \(body.count)\r\n\r\n")
        answer.writeBytes(body)
        context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

@available(*, unavailable)
extension AnswerHandler: Sendable {}

/// A folder with an authority (`ca.pem`) and a server's certificate that it signed (`server.pem`, `server.key`).
private struct Certificates {
    private let folder: URL

    init(name: String) throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "turnpike-tls-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        try openssl(["req", "-x509", "-subj", "/CN=Test", "-keyout", "ca.key", "-out", "ca.pem"] + key)
        try openssl(
            ["req", "-x509", "-CA", "ca.pem", "-CAkey", "ca.key", "-subj", "/CN=server", "-keyout", "server.key"]
                + ["-out", "server.pem", "-addext", "subjectAltName=DNS:\(name)"]
                + ["-addext", "basicConstraints=critical,CA:FALSE"] + key)
    }

    func path(_ file: String) -> String { folder.appending(path: file).path }
    func remove() { try? FileManager.default.removeItem(at: folder) }

    private func openssl(_ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["openssl"] + arguments
        process.currentDirectoryURL = folder
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
    }
}
