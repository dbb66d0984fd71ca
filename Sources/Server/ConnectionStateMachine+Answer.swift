import NIOCore
import TurnpikeKit

extension ConnectionStateMachine {
    // MARK: The request's body

    /// Somebody wants the body. Take what is held afterwards.
    mutating func uploadAsked() -> Action {
        guard case .serving(var serving) = phase, case .unasked = serving.upload else { return .nothing }
        serving.upload = .flowing
        progress &+= 1
        let sends = serving.expectsContinue && held.isEmpty && serving.answer == .owed
        serving.expectsContinue = false
        phase = .serving(serving)
        return sends ? .sendContinue : .nothing
    }

    mutating func uploadPaused(_ isPaused: Bool) {
        guard case .serving(var serving) = phase else { return }
        switch serving.upload {
        case .flowing: if isPaused { serving.upload = .paused }
        case .paused: if !isPaused { serving.upload = .flowing }
        case .unasked, .dropping, .done: return
        }
        progress &+= 1
        phase = .serving(serving)
    }

    /// Nobody wants the rest of the body.
    mutating func uploadGivenUp() {
        guard case .serving(var serving) = phase else { return }
        switch serving.upload {
        case .unasked, .flowing, .paused: serving.upload = .dropping(allowance: drainedBodyBytes)
        case .dropping, .done: return
        }
        phase = .serving(serving)
    }

    // MARK: The answer

    /// The answer's head is about to be written: whether it may promise that the connection stays open.
    ///
    /// It stays if the client wants that, the body's rest is little enough to be dropped, and the server is not stopping.
    mutating func answerBegins(closes: Bool) -> Persistence {
        guard case .serving(var serving) = phase else { return .close }
        serving.answer = .begun
        if closes || isDraining || !canDropRest(of: serving) { serving.isPersistent = false }
        phase = .serving(serving)
        return serving.isPersistent ? .keepAlive : .close
    }

    private func canDropRest(of serving: Serving) -> Bool {
        switch serving.upload {
        case .flowing, .paused, .done: return true
        case .unasked, .dropping:
            if held.contains(where: { if case .end = $0 { true } else { false } }) { return true }
            guard let remaining = serving.remaining else { return false }
            return remaining <= drainedBodyBytes && !serving.expectsContinue
        }
    }

    mutating func answerFlushing() {
        guard case .serving(var serving) = phase else { return }
        serving.answer = .flushing
        progress &+= 1
        phase = .serving(serving)
    }

    /// All of the answer has reached the kernel. `isWhole`: its framing was completed. Take what is held afterwards.
    mutating func answerEnded(isWhole: Bool) -> Action {
        guard case .serving(var serving) = phase else { return .nothing }
        serving.answer = .ended
        if !isWhole { serving.isPersistent = false }
        switch serving.upload {
        case .unasked, .flowing, .paused: serving.upload = .dropping(allowance: drainedBodyBytes)
        case .dropping, .done: break
        }
        progress &+= 1
        phase = .serving(serving)
        return settle()
    }

    /// Goes on to the next request, or closes, once the answer is out.
    mutating func settle() -> Action {
        guard case .serving(let serving) = phase, serving.answer == .ended else { return .nothing }
        guard serving.isPersistent else { return close() }
        if case .done = serving.upload { phase = .waiting(.idle) }
        return .nothing
    }

    /// Closes at once where the client's last bytes were read. Else the kernel would answer what is unread with a reset,
    /// which may destroy the answer on its way.
    mutating func close() -> Action {
        var isRead = held.isEmpty
        if case .serving(let serving) = phase {
            if case .done = serving.upload {} else { isRead = false }
        }
        held.removeAll()
        progress &+= 1
        phase = isRead ? .closed : .lingering
        return isRead ? .close : .linger
    }

    mutating func refuse(_ error: GatewayError) -> Action {
        // The rest of the stream has no meaning: it counts as a body to be dropped, so that the close lingers.
        phase = .serving(
            Serving(upload: .dropping(allowance: 0), isPersistent: false, remaining: nil, expectsContinue: false))
        return .refuse(error)
    }
}
