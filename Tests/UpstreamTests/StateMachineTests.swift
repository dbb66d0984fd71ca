import NIOCore
import NIOHTTP1
import Testing
import TurnpikeKit

@testable import Upstream

/// The parts that decide, without sockets, threads or clocks.
@Suite(.timeLimit(.minutes(5)))
struct StateMachineTests {
    private func machine(_ upload: TransferStateMachine.Upload = .bytes, isIdempotent: Bool = false)
        -> TransferStateMachine
    {
        let limits = TransferStateMachine.Limits(firstByte: 100, idle: 10, total: 1000)
        return TransferStateMachine(limits: limits, upload: upload, isIdempotent: isIdempotent, now: 5)
    }

    @Test func holdsEachPhaseToItsOwnTimeout() {
        var machine = machine()
        #expect(machine.deadline == 1005)
        #expect(machine.sendBegins(at: 20) == .send)
        #expect(machine.deadline == 120)
        #expect(machine.expiry(at: 119) == nil)
        #expect(machine.expiry(at: 120) == .firstByte)
        machine.headArrived(at: 50)
        #expect(machine.deadline == 60)
        machine.bytesArrived(at: 58)
        #expect(machine.expiry(at: 67) == nil)
        #expect(machine.expiry(at: 68) == .idle)
        #expect(machine.expiry(at: 1005) == .total)
        machine.ended()
        #expect(machine.expiry(at: 5000) == nil)
    }

    @Test func countsNoPauseOfTheReader() {
        var machine = machine()
        _ = machine.sendBegins(at: 20)
        machine.headArrived(at: 50)
        machine.halted()
        #expect(machine.expiry(at: 900) == nil)
        #expect(machine.expiry(at: 1005) == .total)
        machine.resumed(at: 900)
        #expect(machine.expiry(at: 909) == nil)
        #expect(machine.expiry(at: 910) == .idle)
    }

    @Test func countsNoPauseOfAClientThatUploads() {
        var machine = machine(.stream)
        _ = machine.sendBegins(at: 20)
        #expect(machine.expiry(at: 30) == .idle)
        machine.uploadStarved(at: 25)
        #expect(machine.expiry(at: 900) == nil)
        machine.uploadMoved(at: 900)
        #expect(machine.expiry(at: 910) == .idle)
        machine.uploadEnded(at: 905)
        #expect(machine.deadline == 1005)
        #expect(machine.expiry(at: 1004) == nil)
    }

    @Test func neverOverflows() {
        let limits = TransferStateMachine.Limits(firstByte: .max, idle: .max, total: .max)
        var machine = TransferStateMachine(limits: limits, upload: .none, isIdempotent: true, now: 7)
        _ = machine.sendBegins(at: 8)
        #expect(machine.deadline == .max)
        #expect(machine.expiry(at: .max - 1) == nil)
        #expect(Duration.seconds(Int64.max).nanoseconds == UInt64.max / 2)
        #expect(Duration.seconds(-1).nanoseconds == 0)
        #expect(Duration.milliseconds(1500).nanoseconds == 1_500_000_000)
    }

    @Test func repeatsOnlyWhatTheUpstreamHardlySaw() {
        let late = 20 + TransferStateMachine.repeatWindow
        var soon = machine()
        #expect(!soon.mayHaveBeenSeen)
        _ = soon.sendBegins(at: 20)
        #expect(soon.mayHaveBeenSeen)
        #expect(soon.sendBegins(at: late - 1) == .send)
        var slow = machine()
        _ = slow.sendBegins(at: 20)
        #expect(slow.sendBegins(at: late) == .refuse)
        var idempotent = machine(isIdempotent: true)
        _ = idempotent.sendBegins(at: 20)
        #expect(idempotent.sendBegins(at: late) == .send)
        var streamed = machine(.stream, isIdempotent: true)
        _ = streamed.sendBegins(at: 20)
        #expect(streamed.sendBegins(at: 21) == .send)
        streamed.uploadMoved(at: 22)
        #expect(streamed.sendBegins(at: 23) == .refuse)
    }

    @Test func resumesOncePerHalt() {
        var flow = FlowControl()
        #expect(flow.offered(FlowControl.window) == .accept)
        #expect(flow.offered(1) == .halt)
        #expect(flow.setPaused(true) == .none)
        #expect(flow.delivered(FlowControl.window) == .none)
        #expect(flow.setPaused(false) == .resume)
        #expect(flow.setPaused(false) == .none)
        #expect(flow.offered(1) == .accept)
        #expect(flow.delivered(1) == .none)
    }

    @Test func wakesASleepingThreadOnce() {
        var mailbox = Mailbox()
        #expect(mailbox.stop() == .queued)
        #expect(mailbox.rest() == .stayAwake)
        mailbox = Mailbox()
        #expect(mailbox.rest() == .sleep)
        #expect(mailbox.stop() == .wake)
        #expect(mailbox.stop() == .queued)
        var commands: [CurlCommand] = []
        let isLast = mailbox.take(into: &commands)
        #expect(isLast)
    }

    @Test func givesAnAnswerThatCameWholeAsBytes() throws {
        var answer = AnswerStateMachine<Int>()
        guard case .submit = answer.wait(1) else { throw ServerConnection.Failure() }
        let head = ResponseHead(status: 200, headers: [:])
        guard case .answer(1, let whole) = answer.arrived(head, ByteBuffer(string: "x"), .complete),
            case .whole(let bytes) = whole.content
        else { throw ServerConnection.Failure() }
        #expect(bytes == ByteBuffer(string: "x"))
        #expect(answer.cancel(.clientLeft).upstream == .isDone)
    }

    @Test func keepsWhatComesBeforeTheReader() throws {
        var answer = AnswerStateMachine<Int>()
        _ = answer.wait(1)
        _ = answer.arrived(ResponseHead(status: 200, headers: [:]), ByteBuffer(string: "a"), nil)
        guard case .none = answer.arrived(ByteBuffer(string: "b")), case .none = answer.arrived(.complete) else {
            throw ServerConnection.Failure()
        }
        let held = answer.start(RecordingSink())
        #expect(held.bytes == ByteBuffer(string: "ab"))
        guard case .complete? = held.end, case .end = answer.arrived(.complete) else {
            throw ServerConnection.Failure()
        }
        #expect(answer.cancel(.clientLeft).upstream == .isDone)
    }

    @Test func tellsAWaiterOnceThatItIsOver() throws {
        var answer = AnswerStateMachine<Int>()
        _ = answer.wait(1)
        let (step, upstream) = answer.cancel(.clientLeft)
        guard case .reject(1, _) = step else { throw ServerConnection.Failure() }
        #expect(upstream == .close)
        guard case .none = answer.arrived(.failed(.clientLeft)), case .none = answer.cancel(.clientLeft).step else {
            throw ServerConnection.Failure()
        }
    }

    /// Head lines whole or folded, and the framing rules that no socket test can show.
    @Test func readsHeadLines() throws {
        func head(_ lines: [String]) -> ResponseHead? {
            var parser = ResponseHeadParser()
            for line in lines + ["\r\n"] {
                let step = Array(line.utf8).withUnsafeBytes { parser.line($0) }
                switch step {
                case .more: continue
                case .head(let head): return head
                case .refuse: return nil
                }
            }
            return nil
        }
        let folded = head([
            "HTTP/1.1 200\r\n", "A: one\r\n", "  two\r\n", "Content-Length: 5\r\n", "content-length: 5\n",
        ])
        #expect(folded?.headers.map { "\($0.name):\($0.value)" } == ["A:one two", "Content-Length:5"])
        #expect(head(["HTTP/1.1 200 OK\r\n", "Content-Length: 5, 5\r\n"]) == nil)
        #expect(head(["HTTP/1.1 200 OK\r\n", "A: b\0c\r\n"]) == nil)
        #expect(head(["A: b\r\n"]) == nil)
        let chunked = head(["HTTP/1.1 200 OK\r\n", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"])
        #expect(chunked?.headers.isEmpty == true)
    }

    @Test func keepsUserAndPasswordOutOfErrors() throws {
        let request = UpstreamRequest(
            method: .GET, url: "http://ann:s3cret@host/", headers: [:], body: .empty,
            connection: UpstreamConnection(proxy: "http://bob:hunter2@proxy:1"))
        let prepared = try PreparedRequest(request, body: .none)
        let text = Redaction.withoutUserInfo("no ann:s3cret here, no hunter2, but host", prepared)
        #expect(text == "no … here, no …, but host")
    }

    @Test func givesUploadedBytesInOrderAndHoldsTheSourceBack() {
        var buffer = UploadBuffer(length: nil)
        let target = UnsafeMutableRawBufferPointer.allocate(byteCount: 200_000, alignment: 1)
        defer { target.deallocate() }
        #expect(buffer.take(into: target) == .starved)
        let change = buffer.append(ByteBuffer(bytes: pattern(UploadBuffer.highWatermark)))
        #expect(change.wake == .wakeReader)
        #expect(change.pause == .pauseSource)
        #expect(buffer.take(into: target) == .bytes(200_000, .resumeSource))
        #expect(Array(target) == Array(pattern(200_000)))
        #expect(buffer.take(into: target) == .bytes(UploadBuffer.highWatermark - 200_000, .none))
        #expect(buffer.endComplete() == .none)
        #expect(buffer.take(into: target) == .finished)
    }

    @Test func takesNoBodyOfAnotherLengthThanPromised() {
        let target = UnsafeMutableRawBufferPointer.allocate(byteCount: 10, alignment: 1)
        defer { target.deallocate() }
        var short = UploadBuffer(length: 3)
        _ = short.append(ByteBuffer(string: "ab"))
        _ = short.endComplete()
        #expect(short.take(into: target) == .broken)
        var long = UploadBuffer(length: 3)
        _ = long.append(ByteBuffer(string: "abcd"))
        #expect(long.take(into: target) == .broken)
    }
}
