import NIOCore
import TurnpikeKit

/// The answer as its receiver sees it: somebody waits for the head, then somebody reads the body.
///
/// `Waiter` is what waits for the head: a continuation, or anything else in a test.
struct AnswerStateMachine<Waiter> {
    enum Step {
        case none
        /// The waiter is installed: the request may go out.
        case submit
        case answer(Waiter, Answer)
        case reject(Waiter, GatewayError)
        case receive(any BodySink, ByteBuffer)
        case end(any BodySink, BodyEnd)
    }

    /// The upstream's head, and its whole body if that came along.
    struct Answer {
        var head: ResponseHead
        var content: Content
        enum Content {
            case empty
            case whole(ByteBuffer)
            case streaming
        }
    }

    /// What giving up means for the upstream connection.
    enum Upstream { case close, isDone }

    private enum State {
        /// Nobody waits yet. Next: waiting, over.
        case idle
        /// Next: holding, over.
        case waiting(Waiter)
        /// The head was handed on and nobody reads the body yet. Next: flowing, over.
        case holding(ByteBuffer?, BodyEnd?)
        /// Next: over.
        case flowing(any BodySink)
        /// Nothing is wanted or expected any more; the error is for who comes to wait after that.
        case over(GatewayError)
    }

    private var state = State.idle

    mutating func wait(_ waiter: Waiter) -> Step {
        switch state {
        case .idle:
            state = .waiting(waiter)
            return .submit
        case .over(let error): return .reject(waiter, error)
        case .waiting, .holding, .flowing: preconditionFailure("One task waits for the head of an answer, once.")
        }
    }

    /// The head is there, together with what of the body came in the same tick.
    mutating func arrived(_ head: ResponseHead, _ bytes: ByteBuffer?, _ end: BodyEnd?) -> Step {
        switch state {
        case .waiting(let waiter):
            if case .complete? = end {
                state = .over(.clientLeft)
                return .answer(waiter, Answer(head: head, content: bytes.map { .whole($0) } ?? .empty))
            }
            state = .holding(bytes, end)
            return .answer(waiter, Answer(head: head, content: .streaming))
        case .over: return .none
        case .idle, .holding, .flowing: preconditionFailure("An answer has one head, after somebody waits for it.")
        }
    }

    mutating func arrived(_ bytes: ByteBuffer) -> Step {
        switch state {
        case .holding(var held, let end):
            state = .over(.clientLeft)  // Gives up the reference, so that appending copies nothing.
            if held == nil { held = bytes } else { held?.writeImmutableBuffer(bytes) }
            state = .holding(held, end)
            return .none
        case .flowing(let sink): return .receive(sink, bytes)
        case .over: return .none
        case .idle, .waiting: preconditionFailure("A body follows its head.")
        }
    }

    mutating func arrived(_ end: BodyEnd) -> Step {
        switch state {
        case .waiting(let waiter):
            guard case .failed(let error) = end else { preconditionFailure("An answer without a head is a failure.") }
            state = .over(error)
            return .reject(waiter, error)
        case .holding(let bytes, nil):
            state = .holding(bytes, end)
            return .none
        case .flowing(let sink):
            state = .over(.clientLeft)
            return .end(sink, end)
        case .idle:
            if case .failed(let error) = end { state = .over(error) }
            return .none
        case .holding, .over: return .none
        }
    }

    /// Somebody reads the body. Returns what has been kept for it, to be delivered at once.
    mutating func start(_ sink: any BodySink) -> (bytes: ByteBuffer?, end: BodyEnd?) {
        switch state {
        case .holding(let bytes, let end):
            state = .flowing(sink)
            return (bytes, end)
        case .over: return (nil, nil)
        case .idle, .waiting, .flowing: preconditionFailure("A body is started once, after its head.")
        }
    }

    /// The receiver wants nothing more. A waiter is told `error`; a sink is not called again.
    mutating func cancel(_ error: GatewayError) -> (step: Step, upstream: Upstream) {
        defer { state = .over(error) }
        switch state {
        case .idle, .over, .holding(_, .some): return (.none, .isDone)
        case .waiting(let waiter): return (.reject(waiter, error), .close)
        case .holding(_, nil), .flowing: return (.none, .close)
        }
    }
}
