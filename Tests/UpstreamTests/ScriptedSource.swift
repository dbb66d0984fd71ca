import NIOCore
import Synchronization
import TurnpikeKit

/// A request body whose pieces a test pushes.
final class ScriptedSource: BodySource {
    let started = Signal<any BodySink>()
    let cancelled = Signal<Void>()
    private let resumed = Signal<Void>()
    private let state = Mutex(State())

    private struct State {
        var isPaused = false
        var unread = 0
        var mostUnread = 0
    }

    /// The most bytes that were pushed since the source had last been let go on.
    var mostUnread: Int { state.withLock { $0.mostUnread } }

    func start(_ sink: any BodySink) { started.send(sink) }

    func setPaused(_ isPaused: Bool) {
        state.withLock { state in
            state.isPaused = isPaused
            if !isPaused { state.unread = 0 }
        }
        if !isPaused { resumed.send() }
    }

    func cancel() { cancelled.send() }

    /// Pushes all of `bytes` in pieces and ends; waits whenever it is paused.
    func push(_ bytes: [UInt8], pieceSize: Int) async throws {
        let sink = try await started.wait()
        var sent = 0
        while sent < bytes.count {
            while state.withLock({ $0.isPaused }) { try await resumed.wait() }
            let piece = bytes[sent..<min(sent + pieceSize, bytes.count)]
            state.withLock { state in
                state.unread += piece.count
                state.mostUnread = state.isPaused ? state.mostUnread : max(state.mostUnread, piece.count)
            }
            sink.receive(ByteBuffer(bytes: piece))
            sent += piece.count
        }
        sink.end(.complete)
    }
}

extension RequestBody {
    /// A stream of pieces that all are there when it is started.
    static func pieces(_ pieces: [String], length: Int?) -> RequestBody {
        RequestBody(source: PiecesSource(pieces), declaredLength: length)
    }
}

private final class PiecesSource: BodySource {
    private let pieces: [String]
    init(_ pieces: [String]) { self.pieces = pieces }
    func start(_ sink: any BodySink) {
        for piece in pieces { sink.receive(ByteBuffer(string: piece)) }
        sink.end(.complete)
    }
    func setPaused(_ isPaused: Bool) {}
    func cancel() {}
}
