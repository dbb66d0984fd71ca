import NIOCore
import Synchronization
import TurnpikeKit

/// A body whose pieces are sent one by one with a pause between them, as a model would.
final class PacedBody: BodySource {
    private struct State {
        var pieces: ArraySlice<ByteBuffer>
        var sink: (any BodySink)?
        var isPaused = false
        var isScheduled = false
    }

    private let pace: TimeAmount
    private let eventLoop: any EventLoop
    private let state: Mutex<State>

    init(_ pieces: [ByteBuffer], pace: Duration, on eventLoop: any EventLoop) {
        self.pace = TimeAmount(pace)
        self.eventLoop = eventLoop
        self.state = Mutex(State(pieces: pieces[...]))
    }

    func start(_ sink: any BodySink) {
        state.withLock { $0.sink = sink }
        schedule(after: .zero)
    }

    func setPaused(_ isPaused: Bool) {
        state.withLock { $0.isPaused = isPaused }
        if !isPaused { schedule(after: .zero) }
    }

    func cancel() {
        state.withLock {
            $0.sink = nil
            $0.pieces = []
        }
    }

    private func schedule(after delay: TimeAmount) {
        let isNeeded = state.withLock { state in
            guard state.sink != nil, !state.isPaused, !state.isScheduled else { return false }
            state.isScheduled = true
            return true
        }
        if isNeeded { eventLoop.scheduleTask(in: delay) { self.sendNext() } }
    }

    private func sendNext() {
        let (sink, piece) = state.withLock { state -> ((any BodySink)?, ByteBuffer?) in
            state.isScheduled = false
            guard !state.isPaused, let sink = state.sink else { return (nil, nil) }
            let piece = state.pieces.popFirst()
            if piece == nil { state.sink = nil }
            return (sink, piece)
        }
        guard let sink else { return }
        guard let piece else { return sink.end(.complete) }
        sink.receive(piece)
        schedule(after: pace)
    }
}
