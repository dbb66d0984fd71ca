import TurnpikeKit

extension ConnectionStateMachine {
    mutating func writabilityChanged(_ isWritable: Bool) {
        self.isWritable = isWritable
        progress &+= 1
    }

    /// The server stops: no further request. A head that has begun to arrive is still answered.
    mutating func drain() -> Action {
        isDraining = true
        switch phase {
        case .waiting(.fresh), .waiting(.idle): return closeNow()
        case .serving(var serving):
            // Its head may have promised more; a client has to be ready for a close between two requests anyway.
            serving.isPersistent = false
            phase = .serving(serving)
            return settle()
        case .waiting(.begun), .lingering, .closed: return .nothing
        }
    }

    /// The server has waited long enough.
    mutating func abort() -> Action {
        switch phase {
        case .serving(let serving):
            return serving.answer == .owed || serving.answer == .begun ? .abortExchange : closeNow()
        case .waiting, .lingering: return closeNow()
        case .closed: return .nothing
        }
    }

    /// The channel is closed, whoever closed it.
    mutating func channelClosed() -> Action {
        defer {
            phase = .closed
            held.removeAll()
        }
        guard case .serving(let serving) = phase, serving.answer != .ended else { return .nothing }
        return .abandonExchange
    }

    private mutating func closeNow() -> Action {
        phase = .closed
        held.removeAll()
        return .close
    }

    /// Whether the socket should be read.
    var wantsRead: Bool {
        switch phase {
        case .waiting: return true
        case .lingering: return lingeredBytes <= Self.maximumLingeredBytes
        case .closed: return false
        case .serving:
            // The whole body is here and no further request: what may come now is the client's close.
            guard let last = held.last else { return true }
            guard case .end = last else { return false }
            return !held.contains { if case .head = $0 { true } else { false } }
        }
    }

    /// The time-out that runs now, if any.
    var timeout: Timeout? {
        switch phase {
        case .waiting(let waiting):
            switch waiting {
            case .fresh, .begun: return .head
            case .idle: return .keepAlive
            }
        case .lingering: return .linger
        case .closed: return nil
        case .serving(let serving):
            if serving.answer == .flushing || !isWritable { return .write }
            switch serving.upload {
            case .flowing: return .body
            // From the answer's end on, all of the rest together: it is dropped as a favour.
            case .dropping: return serving.answer == .ended ? .linger : nil
            case .unasked, .paused, .done: return nil
            }
        }
    }

    /// The running time-out is over.
    mutating func timedOut() -> Action {
        guard let timeout else { return .nothing }
        switch (timeout, phase) {
        case (.head, .waiting(.begun)): return refuse(.headTimeout)
        case (.body, .serving(var serving)) where serving.answer != .ended:
            serving.upload = .dropping(allowance: 0)
            serving.isPersistent = false
            phase = .serving(serving)
            return .failUpload(.bodyTimeout)
        case (.write, .serving):
            // The channel's end tells the exchange that the client is gone.
            return .close
        case (.head, _), (.body, _), (.keepAlive, _), (.write, _), (.linger, _): return closeNow()
        }
    }
}
