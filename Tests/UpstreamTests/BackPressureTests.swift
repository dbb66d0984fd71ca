import Glibc
import NIOCore
import NIOHTTP1
import Testing
import TurnpikeKit

@testable import Upstream

/// Slow readers, readers that leave, upstreams that say nothing.
@Suite(.timeLimit(.minutes(5)))
struct BackPressureTests {
    @Test func stopsReadingWhileTheReaderIsPaused() async throws {
        let bytes = pattern(32 << 20)
        let written = Signal<Int>()
        let goOn = Gate()
        try await withServer({ connection in
            connection.setSendBuffer(64 << 10)
            connection.setTimeout(SO_SNDTIMEO, milliseconds: 300)
            _ = try connection.readRequest()
            try connection.write("HTTP/1.1 200 OK\r\nContent-Length: \(bytes.count)\r\n\r\n")
            var sent = 0
            while true {
                let count = connection.writeSome(bytes[sent..<min(sent + 65_536, bytes.count)])
                if count == 0 { break }
                sent += count
            }
            written.send(sent)
            goOn.wait()
            connection.setTimeout(SO_SNDTIMEO, milliseconds: 10_000)
            try connection.write(Array(bytes[sent...]))
        }) { upstream in
            let source = try await upstream.send().stream()
            let sink = RecordingSink(onFirst: { source.setPaused(true) })
            source.start(sink)
            try await sink.received(1)
            // What is written and not received stands in the sockets' buffers.
            #expect(try await written.wait() < 16 << 20)
            #expect(sink.bytes.count <= 2 * FlowControl.window)
            goOn.open()
            source.setPaused(false)
            #expect(try await sink.failure() == nil)
            #expect(sink.bytes == bytes)
        }
    }

    @Test func holdsLittleOfABodyThatNobodyHasStarted() async throws {
        let bytes = pattern(32 << 20)
        let written = Signal<Int>()
        try await withServer({ connection in
            connection.setSendBuffer(64 << 10)
            connection.setTimeout(SO_SNDTIMEO, milliseconds: 300)
            _ = try connection.readRequest()
            try connection.write("HTTP/1.1 200 OK\r\n\r\n")
            var sent = 0
            while true {
                let count = connection.writeSome(bytes[sent..<min(sent + 65_536, bytes.count)])
                if count == 0 { break }
                sent += count
            }
            written.send(sent)
            connection.setTimeout(SO_SNDTIMEO, milliseconds: 10_000)
            try connection.write(Array(bytes[sent...]))
        }) { upstream in
            let response = try await upstream.send()
            #expect(try await written.wait() < 16 << 20)
            #expect(try await upstream.body(of: response) == bytes)
        }
    }

    @Test(arguments: ["before the head", "in the body"])
    func closesTheUpstreamWhenTheReaderGivesUp(_ moment: String) async throws {
        let requested = Signal<Void>()
        let closed = Signal<Void>()
        try await withServer({ connection in
            _ = try connection.readRequest()
            if moment == "in the body" { try connection.write("HTTP/1.1 200 OK\r\n\r\nx") }
            requested.send()
            try connection.waitForClose()
            closed.send()
        }) { upstream in
            if moment == "in the body" {
                let source = try await upstream.send().stream()
                let sink = RecordingSink()
                source.start(sink)
                try await sink.received(1)
                source.cancel()
            } else {
                let task = Task { try await gatewayError { _ = try await upstream.send() } }
                try await requested.wait()
                task.cancel()
                #expect(try await task.value.code == GatewayError.clientLeft.code)
            }
            try await closed.wait()
        }
    }

    @Test func closesTheUpstreamWhenTheBodyIsDropped() async throws {
        let closed = Signal<Void>()
        try await withServer({ connection in
            _ = try connection.readRequest()
            try connection.write("HTTP/1.1 200 OK\r\n\r\nx")
            try connection.waitForClose()
            closed.send()
        }) { upstream in
            #expect(try await upstream.send().status == .ok)
            try await closed.wait()
        }
    }

    @Test func sendsNothingForATaskThatIsCancelledAlready() async throws {
        try await withServer({ try $0.write(okHello) }) { upstream in
            let start = Signal<Void>()
            let task = Task {
                try? await start.wait()
                return try await gatewayError { _ = try await upstream.send() }
            }
            task.cancel()
            start.send()
            let error = try await task.value
            #expect(error.code == GatewayError.clientLeft.code)
            #expect(upstream.server.connectionCount == 0)
        }
    }

    @Test func callsTheSinkNoMoreAfterACancel() async throws {
        try await withServer({ connection in
            _ = try connection.readRequest()
            try connection.write("HTTP/1.1 200 OK\r\n\r\nx")
            for _ in 0..<10_000 { try connection.write("more of it") }
            try connection.waitForClose()
        }) { upstream in
            let source = try await upstream.send().stream()
            let sink = RecordingSink(onFirst: { source.cancel() })
            source.start(sink)
            try await sink.received(1)
            let count = sink.bytes.count
            // Another exchange on the same thread and loop comes behind everything that was under way.
            let next = try await upstream.send()
            #expect(next.status == .ok)
            #expect(sink.bytes.count == count)
        }
    }

    @Test(arguments: ["first byte", "idle", "total", "total while paused"])
    func endsAnUpstreamThatIsTooSlow(_ kind: String) async throws {
        let closed = Signal<Void>()
        try await withServer({ connection in
            _ = try connection.readRequest()
            if kind != "first byte" { try connection.write("HTTP/1.1 200 OK\r\n\r\nx") }
            try connection.waitForClose()
            closed.send()
        }) { upstream in
            var connection = UpstreamConnection()
            let short = Duration.milliseconds(300)
            switch kind {
            case "first byte": connection.firstByteTimeout = short
            case "idle": connection.idleTimeout = short
            default: connection.totalTimeout = short
            }
            let error = try await gatewayError {
                let source = try await upstream.send(connection: connection).stream()
                if kind == "total while paused" { source.setPaused(true) }
                let sink = RecordingSink()
                source.start(sink)
                if let failure = try await sink.failure() { throw failure }
            }
            #expect(error.code == "upstream_timeout")
            #expect(error.status == .gatewayTimeout)
            #expect(error.retry == .unsafe)
            #expect(error.detail.contains(kind.prefix(4)))
            try await closed.wait()
        }
    }

    @Test func endsAConnectionThatDoesNotComeAbout() async throws {
        // A listener whose queue is full does not answer further connections.
        let listener = try FullListener()
        try await withServer({ _ in }) { upstream in
            let request = UpstreamRequest(
                method: .POST, url: "http://127.0.0.1:\(listener.port)/", headers: [:], body: .empty,
                connection: UpstreamConnection(connectTimeout: .milliseconds(60)))
            let error = try await gatewayError { _ = try await upstream.send(request) }
            #expect(error.code == "upstream_timeout")
            #expect(error.retry == .safe)
        }
    }

    @Test func doesNotCountTheReadersPauseAsTheUpstreamsIdleness() async throws {
        let bytes = pattern(8 << 20)
        let idle = Duration.milliseconds(250)
        let stalled = Signal<Void>()
        try await withServer({ connection in
            _ = try connection.readRequest()
            if connection.number == 2 {
                // Says nothing: its idle time-out tells the test when the other one's would have run out.
                try connection.write("HTTP/1.1 200 OK\r\n\r\nx")
                return try connection.waitForClose()
            }
            connection.setSendBuffer(64 << 10)
            connection.setTimeout(SO_SNDTIMEO, milliseconds: 100)
            try connection.write("HTTP/1.1 200 OK\r\nContent-Length: \(bytes.count)\r\n\r\n")
            var sent = 0
            while true {
                let count = connection.writeSome(bytes[sent..<min(sent + 65_536, bytes.count)])
                if count == 0 { break }
                sent += count
            }
            stalled.send()
            connection.setTimeout(SO_SNDTIMEO, milliseconds: 10_000)
            try connection.write(Array(bytes[sent...]))
        }) { upstream in
            let connection = UpstreamConnection(idleTimeout: idle)
            let source = try await upstream.send(connection: connection).stream()
            let sink = RecordingSink(onFirst: { source.setPaused(true) })
            source.start(sink)
            try await stalled.wait()
            let other = RecordingSink()
            try await upstream.send(connection: connection).stream().start(other)
            #expect(try await other.failure()?.code == "upstream_timeout")
            source.setPaused(false)
            #expect(try await sink.failure() == nil)
            #expect(sink.bytes == bytes)
        }
    }

    @Test func joinsThePiecesOfOneTick() async throws {
        let answer =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + String(repeating: "1\r\nx\r\n", count: 500)
        try await withServer({ connection in
            _ = try connection.readRequest()
            try connection.write(answer)
            try connection.waitForClose()
        }) { upstream in
            let source = try await upstream.send().stream()
            let sink = RecordingSink()
            source.start(sink)
            try await sink.received(500)
            #expect(sink.pieceCount < 10)
            source.cancel()
        }
    }
}
