import NIOCore
import NIOHTTP1
import NIOPosix
import OpenAIWire
import Testing

@testable import TurnpikeKit

@Suite struct RequestBodyTests {
    @Test func isReadOnceAndSharedByAllWhoAsk() async throws {
        let source = ScriptedSource()
        let body = RequestBody(source: source, declaredLength: nil)
        let copy = body
        #expect(source.calls.isEmpty, "Nobody has asked yet.")
        let first = Task.immediate { try await body.collect(upTo: 100) }
        let second = Task.immediate { try await copy.collect(upTo: 100) }
        let third = Task.immediate { try await copy.collect(upTo: 100) }
        source.deliver("one ")
        source.deliver("two")
        source.end()
        for task in [first, second, third] { #expect(String(buffer: try await task.value) == "one two") }
        #expect(String(buffer: try await body.collect(upTo: 100)) == "one two")
        #expect(source.calls == ["start"])
    }

    @Test func acceptsWhatASourceDeliversFromWithinStart() async throws {
        let body = RequestBody(source: ScriptedSource(atOnce: ["a", "", "b"]), declaredLength: 2)
        #expect(String(buffer: try await body.collect(upTo: 2)) == "ab")
    }

    @Test func whatHasComeWithTheHeadIsThereAtOnce() async throws {
        let chat = #"{"model": "m", "messages": []}"#
        let body = RequestBody(source: ScriptedSource(atOnce: [chat]), declaredLength: nil)
        let request = Request(head: RequestHead(method: .POST, target: "/"), body: body)
        #expect(try request.chatRequestAtOnce(upTo: 100)?.model == "m")
        #expect(String(buffer: try await body.collect(upTo: 100)) == chat)
    }

    @Test func whatIsYetToComeIsBegunAndWaitedForByWhoeverAsksNext() async throws {
        let source = ScriptedSource()
        let body = RequestBody(source: source, declaredLength: nil)
        let request = Request(head: RequestHead(method: .POST, target: "/"), body: body)
        #expect(try request.chatRequestAtOnce(upTo: 100)?.model == nil)
        source.deliver(#"{"model": "#)
        #expect(try request.chatRequestAtOnce(upTo: 100)?.model == nil)
        let first = Task.immediate { try await request.chatRequest(upTo: 100).model }
        let second = Task.immediate { try await body.collect(upTo: 100).readableBytes }
        source.deliver(#""m", "messages": []}"#)
        source.end()
        #expect(try await first.value == "m")
        #expect(try await second.value == 30)
        #expect(source.calls == ["start"])
    }

    @Test func aBodyThatEndedBeforeAnyoneWaitedIsThere() async throws {
        let source = ScriptedSource()
        let body = RequestBody(source: source, declaredLength: nil)
        let request = Request(head: RequestHead(method: .POST, target: "/"), body: body)
        #expect(try request.chatRequestAtOnce(upTo: 3)?.model == nil)
        source.deliver("1234")
        #expect(await failureCode { try await body.collect(upTo: 30) } == "request_too_large")
        #expect(source.calls == ["start", "cancel"])
    }

    @Test func aDeclaredLengthAboveTheLimitIsRefusedUnread() async {
        let source = ScriptedSource()
        let body = RequestBody(source: source, declaredLength: 11)
        #expect(await failureCode { try await body.collect(upTo: 10) } == "request_too_large")
        #expect(source.calls.isEmpty)
    }

    @Test func moreThanTheLimitEndsTheReadingForEveryone() async {
        let source = ScriptedSource()
        let body = RequestBody(source: source, declaredLength: nil)
        let first = Task.immediate { await failureCode { try await body.collect(upTo: 3) } }
        let second = Task.immediate { await failureCode { try await body.collect(upTo: 30) } }
        let sink = source.current
        source.deliver("123")
        source.deliver("4")
        sink?.receive(ByteBuffer(string: "late"))
        sink?.end(.complete)
        #expect(await first.value == "request_too_large")
        #expect(await second.value == "request_too_large")
        #expect(source.calls == ["start", "cancel"])
        #expect(await failureCode { try await body.collect(upTo: 30) } == "request_too_large")
    }

    @Test func eachCollectorsOwnLimitHolds() async throws {
        let source = ScriptedSource()
        let body = RequestBody(source: source, declaredLength: nil)
        let first = Task.immediate { try await body.collect(upTo: 30) }
        let waiting = Task.immediate { await failureCode { try await body.collect(upTo: 3) } }
        source.deliver("1234")
        source.end()
        #expect(try await first.value.readableBytes == 4)
        #expect(await waiting.value == "request_too_large")
        #expect(await failureCode { try await body.collect(upTo: 3) } == "request_too_large")
    }

    @Test func aBodyThatBreaksOffIsAnErrorForEveryone() async {
        let source = ScriptedSource()
        let body = RequestBody(source: source, declaredLength: nil)
        let first = Task.immediate { await failureCode { try await body.collect(upTo: 30) } }
        source.deliver("1234")
        source.end(.failed(.test("timed_out")))
        #expect(await first.value == "timed_out")
        #expect(await failureCode { try await body.collect(upTo: 30) } == "timed_out")
        #expect(source.calls == ["start"], "A source that has ended needs no cancelling.")
    }

    // MARK: - Budget

    @Test func allBodiesTogetherStayWithinTheBudget() async throws {
        let budget = BufferBudget(limit: 10)
        var held: RequestBody? = RequestBody(
            source: ScriptedSource(atOnce: ["1234", "5678"]), declaredLength: nil, budget: budget)
        _ = try await held?.collect(upTo: 100)
        #expect(budget.usedBytes == 8)

        let refused = RequestBody(source: ScriptedSource(atOnce: ["12", "3"]), declaredLength: nil, budget: budget)
        #expect(await failureCode { try await refused.collect(upTo: 100) } == "server_overloaded")
        #expect(budget.usedBytes == 8, "What was kept of a refused body is given back at once.")

        held = nil
        #expect(budget.usedBytes == 0)
        let next = RequestBody(source: ScriptedSource(atOnce: ["123"]), declaredLength: nil, budget: budget)
        #expect(try await next.collect(upTo: 100).readableBytes == 3)
    }

    @Test func aRefusalForTheBudgetSaysWhenToComeBack() {
        let refusal = BufferBudget(limit: 1).reserve(2)
        #expect(refusal?.status == .serviceUnavailable)
        #expect(refusal?.headers.first(name: "Retry-After") == "1")
    }

    // MARK: - Cancellation

    @Test func cancellationEndsTheWaitAndTheSource() async {
        let source = ScriptedSource()
        let budget = BufferBudget(limit: 10)
        let body = RequestBody(source: source, declaredLength: nil, budget: budget)
        let task = Task.immediate { await failureCode { try await body.collect(upTo: 10) } }
        source.deliver("123")
        let sink = source.current
        task.cancel()
        sink?.receive(ByteBuffer(string: "4"))
        sink?.end(.complete)
        #expect(await task.value == "client_left")
        sink?.receive(ByteBuffer(string: "5"))
        #expect(budget.usedBytes == 0, "What comes late is not kept.")
    }

    @Test func aTaskThatWasCancelledBeforeEndsTheSourceToo() async {
        let source = ScriptedSource()
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return await failureCode { try await RequestBody(source: source, declaredLength: nil).collect(upTo: 10) }
        }
        #expect(await task.value == "client_left")
        #expect(source.calls == ["start", "cancel"])
    }

    @Test func whoeverCancelsTheSourceIsCancelledOnItsLoop() async {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let source = ScriptedSource(isRightPlace: { loop.inEventLoop })
        let started = loop.makePromise(of: Void.self)
        let task = Task(executorPreference: TestLoopExecutor(loop: loop)) {
            await failureCode {
                let body = RequestBody(source: source, declaredLength: nil)
                started.succeed()
                return try await body.collect(upTo: 10)
            }
        }
        try? await started.futureResult.get()
        task.cancel()
        #expect(await task.value == "client_left")
        #expect(source.calls == ["start", "cancel"])
    }

    // MARK: - Derived values

    @Test func aDerivedValueIsMadeOncePerType() async throws {
        let journal = Journal()
        let source = ScriptedSource()
        let body = RequestBody(source: source, declaredLength: nil)
        let length = { @Sendable () async throws -> Int in
            try await body.derived(upTo: 10) {
                journal.note("length")
                return $0.readableBytes
            }
        }
        let first = Task.immediate { try await length() }
        let second = Task.immediate { try await length() }
        source.deliver("1234")
        source.end()
        #expect(try await first.value == 4)
        #expect(try await second.value == 4)
        #expect(try await body.derived(upTo: 10) { String(buffer: $0) } == "1234")
        #expect(try await length() == 4)
        #expect(journal.entries.count <= 2 && !journal.entries.isEmpty)
    }

    @Test func whatMakingADerivedValueThrowsIsNotKept() async throws {
        let body = RequestBody(ByteBuffer(string: "x"))
        #expect(
            await failureCode { try await body.derived(upTo: 9) { _ -> Int in throw GatewayError.test("bad") } }
                == "bad")
        #expect(try await body.derived(upTo: 9) { $0.readableBytes } == 1)
    }

    // MARK: - Forwarding

    @Test func anUnreadBodyIsForwardedAsItsStream() throws {
        let source = ScriptedSource()
        let body = RequestBody(source: source, declaredLength: 5)
        guard case .stream(let taken, length: 5) = try body.takeContent() else {
            Issue.record("not a stream")
            return
        }
        #expect(taken === source)
        #expect(source.calls.isEmpty)
    }

    @Test func aCollectedBodyIsForwardedAsBytesAsOftenAsNeeded() async throws {
        let body = RequestBody(source: ScriptedSource(atOnce: ["abc"]), declaredLength: nil)
        _ = try await body.collect(upTo: 10)
        for _ in 0..<2 {
            guard case .bytes(let bytes) = try body.takeContent() else {
                Issue.record("not bytes")
                return
            }
            #expect(String(buffer: bytes) == "abc")
        }
    }

    @Test func aBodyThatCouldNotBeCollectedIsForwardedAsItsError() async {
        let body = RequestBody(source: ScriptedSource(atOnce: ["abc"]), declaredLength: nil)
        #expect(await failureCode { try await body.collect(upTo: 1) } == "request_too_large")
        #expect(await failureCode { try body.takeContent() } == "request_too_large")
    }

    @Test func aStreamIsForwardedOnceAndNotCollectedAfterwards() async throws {
        let body = RequestBody(source: ScriptedSource(), declaredLength: nil)
        _ = try body.takeContent()
        #expect(await failureCode { try body.takeContent() } == "internal_error")
        #expect(await failureCode { try await body.collect(upTo: 10) } == "internal_error")
    }
}

/// Runs a task on an event loop, as the server does.
private final class TestLoopExecutor: TaskExecutor {
    private let loop: any EventLoop
    init(loop: any EventLoop) { self.loop = loop }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
