import NIOCore
import Synchronization
import TurnpikeKit

/// A body whose pieces are all there: it delivers one after the other, and waits where it is paused.
final class ScriptedBody: BodySource {
    fileprivate struct State {
        var pieces: [ByteBuffer]
        var next = 0
        var sink: (any BodySink)?
        var isPaused = false
    }

    private let state: Mutex<State>
    /// `nil`: the body never ends by itself.
    private let end: BodyEnd?

    init(_ pieces: [ByteBuffer], end: BodyEnd?) {
        state = Mutex(State(pieces: pieces.filter { $0.readableBytes > 0 }))
        self.end = end
    }

    func start(_ sink: any BodySink) {
        state.withLock { $0.sink = sink }
        deliver()
    }

    func setPaused(_ isPaused: Bool) {
        state.withLock { $0.isPaused = isPaused }
        if !isPaused { deliver() }
    }

    func cancel() { state.withLock { $0.sink = nil } }

    fileprivate enum Step {
        case piece(ByteBuffer, any BodySink)
        case end(BodyEnd, any BodySink)
        case nothing
    }

    /// The sink may pause or cancel from within `receive`, so each step looks anew.
    private func deliver() {
        while true {
            switch state.withLock({ $0.step(before: end) }) {
            case .piece(let bytes, let sink): sink.receive(bytes)
            case .end(let end, let sink): return sink.end(end)
            case .nothing: return
            }
        }
    }
}

extension ScriptedBody.State {
    fileprivate mutating func step(before end: BodyEnd?) -> ScriptedBody.Step {
        guard let sink, !isPaused else { return .nothing }
        if next < pieces.count {
            defer { next += 1 }
            return .piece(pieces[next], sink)
        }
        guard let end else { return .nothing }
        self.sink = nil
        return .end(end, sink)
    }
}
