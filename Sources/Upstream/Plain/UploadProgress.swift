/// How much of a streamed request body has come from its source, against what its length promised.
struct UploadProgress {
    enum Verdict: Equatable {
        case send
        /// All that was promised is there.
        case finish
        /// The body is not as long as was promised: the request must not look complete.
        case broken
        /// Nobody wants it any more.
        case ignore
    }

    private enum State { case unstarted, flowing, ended }

    private var state = State.unstarted
    /// What is still to come of the declared length; `nil` without one.
    private var remaining: Int?

    init(length: Int?) { remaining = length }

    /// Whether all of the body was handed over.
    var hasEnded: Bool { state == .ended }

    mutating func start() { state = .flowing }

    mutating func received(_ count: Int) -> Verdict {
        guard state == .flowing, count > 0 else { return .ignore }
        guard let remaining else { return .send }
        guard count <= remaining else { return stop(.broken) }
        self.remaining = remaining - count
        return .send
    }

    /// The source has ended.
    mutating func ended() -> Verdict {
        guard state == .flowing else { return .ignore }
        return stop((remaining ?? 0) == 0 ? .finish : .broken)
    }

    private mutating func stop(_ verdict: Verdict) -> Verdict {
        state = .ended
        return verdict
    }
}
