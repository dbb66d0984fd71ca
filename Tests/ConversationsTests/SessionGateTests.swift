import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Persistence
import Synchronization
import Testing
import TurnpikeKit

@testable import Conversations

/// Requests of one session that take turns: none is let in beside another, and none is forgotten.
@Suite(.timeLimit(.minutes(5))) struct SessionGateTests {
    private let gate = SessionGate()
    private let key = SessionKey(owner: .generate(), session: .generate())

    private func exchange() -> Exchange {
        Exchange(
            head: RequestHead(method: .POST, target: "/v1/chat/completions", headers: [:]),
            eventLoop: MultiThreadedEventLoopGroup.singleton.next(), logger: Logger(label: "test"))
    }

    private func end(_ exchange: Exchange) { exchange.finish(Outcome(ending: .completed, status: 200)) }

    private func enter(_ exchange: Exchange, _ policy: SessionGate.Policy, waiting time: Duration = .seconds(30))
        async throws -> SessionGate.Entry
    {
        try await gate.enter(key, policy, waiting: time, exchange)
    }

    @Test func aSecondRequestIsRejectedUntilTheFirstIsOver() async throws {
        let first = exchange()
        _ = try await enter(first, .reject)
        await #expect(throws: GatewayError.self) { _ = try await enter(exchange(), .reject) }
        end(first)
        let third = exchange()
        #expect(try await enter(third, .reject) == .atOnce)
        end(third)
    }

    @Test func oneThatWaitsIsLetInWhenTheFirstIsOver() async throws {
        let (first, second) = (exchange(), exchange())
        _ = try await enter(first, .serialize)
        let steps = StepExecutor()
        let entry = Task(executorPreference: steps) { try await enter(second, .serialize) }
        steps.run()
        // It waits.
        end(first)
        steps.run()
        #expect(try await entry.value == .afterWaiting)
        end(second)
        #expect(try await enter(exchange(), .reject) == .atOnce)
    }

    @Test(arguments: [Duration.zero, .milliseconds(1)])
    func oneThatHasWaitedLongEnoughIsRefusedAndForgotten(_ time: Duration) async throws {
        let first = exchange()
        _ = try await enter(first, .serialize)
        let error = await #expect(throws: GatewayError.self) {
            _ = try await enter(exchange(), .serialize, waiting: time)
        }
        #expect(error?.code == "session_locked")
        end(first)
        #expect(try await enter(exchange(), .reject) == .atOnce)
    }

    @Test func aClientThatLeavesIsForgotten() async throws {
        let first = exchange()
        _ = try await enter(first, .serialize)
        let waiting = Task { try await enter(exchange(), .serialize) }
        waiting.cancel()
        await #expect(throws: GatewayError.self) { _ = try await waiting.value }
        end(first)
        #expect(try await enter(exchange(), .reject) == .atOnce)
    }

    @Test func anExchangeThatIsOverBeforeItIsLetInLeavesAtOnce() async throws {
        let over = exchange()
        end(over)
        _ = try await enter(over, .serialize)
        #expect(try await enter(exchange(), .reject) == .atOnce)
    }

    /// Many requests that come, leave and lose patience at any moment: each of them ends, and afterwards the session is free.
    @Test func nobodyIsLostAndNobodyIsBesideAnother() async throws {
        let inside = Inside()
        for _ in 0..<30 {
            await withTaskGroup { group in
                for number in 0..<40 {
                    group.addTask { await self.visit(number, inside) }
                    if number % 5 == 4 { group.addTask { await self.leaveEarly(inside) } }
                }
            }
            let last = exchange()
            #expect(try await enter(last, .reject) == .atOnce)
            end(last)
        }
    }

    private func visit(_ number: Int, _ inside: Inside) async {
        let exchange = exchange()
        guard (try? await enter(exchange, .serialize, waiting: .microseconds(number * 50))) != nil else { return }
        #expect(inside.enter() == 1)
        await Task.yield()
        inside.leave()
        end(exchange)
    }

    /// Requests that are being answered.
    private final class Inside: Sendable {
        private let count = Mutex(0)
        func enter() -> Int {
            count.withLock { count in
                count += 1
                return count
            }
        }
        func leave() { count.withLock { $0 -= 1 } }
    }

    private func leaveEarly(_ inside: Inside) async {
        let exchange = exchange()
        let task = Task { try await enter(exchange, .serialize) }
        await Task.yield()
        task.cancel()
        if (try? await task.value) != nil { end(exchange) }
    }
}

/// Runs tasks when a test says so: behind `run` they wait for something, or have ended.
private final class StepExecutor: TaskExecutor {
    private let jobs = Mutex<[UnownedJob]>([])

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        jobs.withLock { $0.append(job) }
    }

    func run() {
        while let job = jobs.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) {
            job.runSynchronously(on: asUnownedTaskExecutor())
        }
    }
}
