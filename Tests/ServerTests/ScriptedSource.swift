import NIOCore
import Synchronization
import TurnpikeKit

/// A body that a test pushes piece by piece, and that remembers what it was told.
final class ScriptedSource: BodySource {
    private struct State {
        var sink: (any BodySink)?
        var isPaused = false
        var isCancelled = false
    }

    private let eventLoop: any EventLoop
    private let state = Mutex(State())
    private let initial: [String]
    private let initialEnd: BodyEnd?
    let started = Signal<Bool>()
    let cancelled = Signal<Bool>()
    let paused = Signal<Bool>()
    let resumed = Signal<Bool>()

    /// Delivers `initial`, and with `ending` also the end, within `start`.
    init(on eventLoop: any EventLoop, initial: [String] = [], ending: BodyEnd? = nil) {
        self.eventLoop = eventLoop
        self.initial = initial
        self.initialEnd = ending
    }

    var isCancelled: Bool { state.withLock { $0.isCancelled } }
    var isPaused: Bool { state.withLock { $0.isPaused } }

    func start(_ sink: any BodySink) {
        state.withLock { $0.sink = sink }
        for piece in initial { sink.receive(ByteBuffer(string: piece)) }
        if let initialEnd { sink.end(initialEnd) }
        started.send(true)
    }

    func setPaused(_ isPaused: Bool) {
        state.withLock { $0.isPaused = isPaused }
        if isPaused { paused.send(true) } else { resumed.send(true) }
    }

    func cancel() {
        state.withLock {
            $0.isCancelled = true
            $0.sink = nil
        }
        cancelled.send(true)
    }

    func push(_ text: String) async { await push(ByteBuffer(string: text)) }

    func push(_ bytes: ByteBuffer) async {
        _ = await started.value
        try? await eventLoop.submit { self.state.withLock { $0.sink }?.receive(bytes) }.get()
    }

    func end(_ end: BodyEnd) async {
        _ = await started.value
        try? await eventLoop.submit {
            self.state.withLock { state in
                defer { state.sink = nil }
                return state.sink
            }?.end(end)
        }.get()
    }

    /// Pushes pieces for as long as it is not paused, and says how many bytes that were.
    func pushUntilPaused(_ piece: ByteBuffer, atMost limit: Int) async -> Int {
        var pushed = 0
        while !isPaused, pushed < limit {
            await push(piece)
            pushed += piece.readableBytes
        }
        return pushed
    }
}
