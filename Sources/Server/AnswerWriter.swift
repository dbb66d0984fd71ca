import NIOCore
import NIOHTTP1
import TurnpikeKit

/// How an answer's body is delimited on the wire.
enum AnswerFraming: Equatable {
    /// No body follows, whatever the head says: HEAD, 204, 304.
    case bodyless
    case length(Int)
    case chunked
    /// HTTP/1.0 clients know no chunks: the connection's end is the body's.
    case untilClose
}

/// An answer's head, ready to be written.
struct AnswerHead {
    var status: HTTPResponseStatus
    var headers: HTTPHeaders
    var framing: AnswerFraming
    var persistence: ConnectionStateMachine.Persistence
    /// HTTP/1.0 clients close unless they are told not to.
    var isHTTP10: Bool
    var requestID: String
    var date: String
}

/// Turns heads and body pieces into bytes, gathered so that a head and a small body are one write.
///
/// NIO's own encoder is not used: it wants three messages per answer, and each costs a pass through the pipeline.
struct AnswerWriter {
    /// Pieces up to this size are copied behind what is pending; larger ones are written as they are.
    private static let copiedBytes = 16 << 10

    private var pending = ByteBuffer()
    /// What was pending before: its memory serves again once the channel has let go of it. A buffer of this size is beyond
    /// malloc's quick lists, and its coming and going made every other allocation slower.
    private var spare = ByteBuffer()
    private static let keptCapacity = 4 << 10

    private(set) var framing = AnswerFraming.bodyless

    /// What has been gathered, if anything.
    mutating func takePending() -> ByteBuffer? {
        guard pending.readableBytes > 0 else { return nil }
        defer { pending = ByteBuffer() }
        if pending.capacity <= AnswerWriter.keptCapacity { spare = pending }
        return pending
    }

    /// Makes room for `count` bytes behind what is pending.
    private mutating func reserve(_ count: Int) {
        if pending.capacity == 0, spare.capacity > 0 {
            swap(&pending, &spare)
            // Takes memory of its own if the channel still writes the old bytes.
            pending.clear(minimumCapacity: count)
        }
        pending.reserveCapacity(pending.readableBytes + count)
    }

    /// Adds an interim or final head. `body` is what is known to follow at once, to reserve room for it.
    mutating func open(_ head: AnswerHead, reserving body: Int = 0) {
        framing = head.framing
        reserve(512 + min(body, AnswerWriter.copiedBytes))
        writeStatusLine(head.status)
        var hasDate = false
        for (name, value) in head.headers where !AnswerWriter.isOurs(name, framing) {
            if name.utf8.count == 4, name.equalsIgnoringCase("date") { hasDate = true }
            writeField(name, value)
        }
        writeFraming(head)
        if !hasDate { writeField("Date", head.date) }
        writeField("x-turnpike-request-id", head.requestID)
        pending.writeStaticString("\r\n")
    }

    mutating func writeContinue() { pending.writeStaticString("HTTP/1.1 100 Continue\r\n\r\n") }

    /// Adds a piece of the body; `write` gets, in order, what is not gathered.
    mutating func append(_ bytes: ByteBuffer, write: (ByteBuffer) -> Void) {
        let count = bytes.readableBytes
        guard count > 0 else { return }
        switch framing {
        case .bodyless: return
        case .length, .untilClose: add(bytes, write)
        case .chunked:
            reserve(min(count, AnswerWriter.copiedBytes) + 32)
            pending.writeString(String(count, radix: 16))
            pending.writeStaticString("\r\n")
            add(bytes, write)
            pending.writeStaticString("\r\n")
        }
    }

    /// Adds what ends a whole body. A body that broke off gets none of it: the client must see that it broke.
    mutating func end() {
        switch framing {
        case .bodyless, .length, .untilClose: break
        case .chunked: pending.writeStaticString("0\r\n\r\n")
        }
    }

    private mutating func add(_ bytes: ByteBuffer, _ write: (ByteBuffer) -> Void) {
        if bytes.readableBytes <= AnswerWriter.copiedBytes {
            pending.writeImmutableBuffer(bytes)
        } else {
            if let before = takePending() { write(before) }
            write(bytes)
        }
    }

    private mutating func writeStatusLine(_ status: HTTPResponseStatus) {
        if status == .ok {
            pending.writeStaticString("HTTP/1.1 200 OK\r\n")
        } else {
            // A status line has three digits; anything else comes from a plugin that is wrong.
            let code = (200...999).contains(status.code) ? status.code : 500
            pending.writeString("HTTP/1.1 \(code) ")
            if status.reasonPhrase.isFieldValue { pending.writeString(status.reasonPhrase) }
            pending.writeStaticString("\r\n")
        }
    }

    private mutating func writeFraming(_ head: AnswerHead) {
        switch head.framing {
        case .length(let length): writeField("Content-Length", String(length))
        case .chunked: pending.writeStaticString("Transfer-Encoding: chunked\r\n")
        case .bodyless, .untilClose: break
        }
        switch (head.persistence, head.isHTTP10) {
        case (.close, _): pending.writeStaticString("Connection: close\r\n")
        case (.keepAlive, true): pending.writeStaticString("Connection: keep-alive\r\n")
        case (.keepAlive, false): break
        }
    }

    private mutating func writeField(_ name: String, _ value: String) {
        // Another one would change the answer's meaning: such a field is left out.
        guard AnswerWriter.isFieldName(name), value.isFieldValue else { return }
        pending.writeField(name, value)
    }

    /// The exchange's id, and fields that describe the connection and the framing, which are the server's. A bodyless answer keeps the
    /// `Content-Length` that says how long the body would have been.
    private static func isOurs(_ name: String, _ framing: AnswerFraming) -> Bool {
        switch name.utf8.count {
        case 14: framing != .bodyless && name.equalsIgnoringCase("content-length")
        case 21: name.equalsIgnoringCase("x-turnpike-request-id")
        default: name.isFieldOfConnection
        }
    }

    private static func isFieldName(_ name: String) -> Bool {
        !name.isEmpty && name.allBytes { ($0 &- 0x21 < 0x5E) && $0 != UInt8(ascii: ":") }
    }
}
