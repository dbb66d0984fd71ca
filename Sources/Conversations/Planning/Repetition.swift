/// Whether a client may be sending a request again.
package enum Repetition: Sendable, Equatable {
    /// It did not say so.
    case none
    /// It says so.
    case claimed
    /// It says so, and its earlier attempt is remembered to have been planned on `base`.
    case known(base: Int64)

    /// The newest turn of the session, if it is the outcome of the earlier attempt.
    func turn(repeatedBy request: IncomingTurn, newest: LastTurn?) -> LastTurn? {
        guard let newest, newest.requestDigest == request.digest else { return nil }
        switch self {
        case .none: return nil
        // An attempt that others overtook is not recognised: its base is known to nobody any more.
        case .claimed: return newest.baseSeq == newest.firstSeq ? newest : nil
        case .known(let base): return newest.baseSeq == base ? newest : nil
        }
    }
}
