/// Where the history begins that goes in front of a request: the newest messages within two limits, cut at turns.
///
/// The candidates are what the message limit leaves; the token budget may leave less. With a low watermark and a stored
/// position, the beginning stays the same over many turns, so that the prefix which a provider has cached does too:
/// - what lies within the low watermarks is all there, whatever was cut before;
/// - else it begins where the last cut left it;
/// - where it has outgrown a limit it is cut down to the low watermark of that limit, and the new position is stored.
///
/// One position serves requests of different budgets, to other models or with more room for the answer:
/// - where it leaves far less than the low watermark, it was made for a smaller budget: the cut is made anew;
/// - where it leaves far more than the budget, the cut is the request's own and nothing is stored, so that a later request
///   with the larger budget finds its prefix. Such a cut is at the roundest position, which stays for some turns too.
///
/// What a cut for one budget leaves is never far too little for another for which it was stored: two that alternate do
/// not move it to and fro.
struct HistoryCut: Equatable {
    /// A stored message as the cut sees it.
    struct Candidate: Equatable {
        var seq: Int64
        var tokens: Int
        /// Whether a history may begin with it: at a turn that does not answer an earlier call.
        var mayBegin: Bool
    }

    /// The index of the first candidate that is sent; their number if none is.
    let start: Int
    /// Whether the session is to remember that its history begins at `start`; at the end of the candidates: behind all of them.
    let moves: Bool
    /// Tokens of what is sent.
    let tokens: Int
    /// Whether tokens are why it begins there, and not at the first candidate.
    let isByTokens: Bool

    /// The limits of one request.
    struct Limits: Equatable {
        /// Tokens that the candidates may have.
        var tokens: Int
        var lowTokens: Int
        /// Fewer tokens than these, with more to be had, are left by a cut for a smaller budget.
        var leastTokens: Int
        /// Messages that may be there, as far as the cut enforces it: with a stable truncation.
        var messages: Int?
        var lowMessages: Int
        /// Messages that lie behind the candidates and count too: those that the client repeats.
        var repeated: Int
        /// Active messages before the first candidate.
        var unlisted: Int
        /// Where the last cut left the history.
        var contextStart: Int64
        /// The first of the last candidates that must be there, because the request answers their call.
        var required: Int?
    }

    init(_ candidates: [Candidate], _ limits: Limits) {
        let sums = Self.sums(candidates)
        func fits(_ start: Int, _ tokens: Int, _ messages: Int?) -> Bool {
            sums[start] <= tokens && messages.map { candidates.count - start + limits.repeated <= $0 } ?? true
        }
        let low = limits.messages.map { _ in limits.lowMessages }
        let isFresh = fits(0, limits.lowTokens, low) && (limits.messages == nil || limits.unlisted == 0)
        let kept = isFresh ? 0 : Self.position(limits.contextStart, candidates)
        var start = kept
        // The last cut left more than the candidates are: the limit on messages is exceeded by those before them.
        let begins = candidates.first.map { limits.contextStart < $0.seq } ?? false
        let isOver =
            !fits(kept, limits.tokens, limits.messages)
            || (limits.messages != nil && !isFresh && begins && limits.unlisted > 0)
        let isFar = kept > 0 && sums[kept] < limits.leastTokens
        var isOwn = false
        if isOver || isFar {
            let beginnings = candidates.indices.filter { candidates[$0].mayBegin || $0 == 0 }
            let lowest = beginnings.first { fits($0, limits.lowTokens, low) }
            // A single turn above the watermark stays whole while it fits.
            let single = beginnings.last.flatMap { sums[$0] <= limits.tokens ? $0 : nil }
            let cut = lowest ?? single ?? candidates.count
            start = isOver ? cut : min(cut, kept)
            // Without the newest turn: by that much alone every history outgrows its budget.
            let before = sums[kept] - (beginnings.last.map { sums[max($0, kept)] } ?? 0)
            isOwn = isOver && Self.isFarAbove(limits.tokens, before)
            if isOwn {
                let band = beginnings.filter { $0 <= cut && fits($0, limits.tokens, limits.messages) }
                start = Self.roundest(band, candidates) ?? cut
            }
        }
        moves = start != kept && !isOwn
        isByTokens = start > 0 && (limits.messages == nil || sums[0] > limits.tokens)
        self.start = min(start, limits.required ?? start)
        tokens = sums[self.start]
    }

    /// Whether so many tokens were never within the budget, nor within one like it: by more than a quarter.
    private static func isFarAbove(_ budget: Int, _ tokens: Int) -> Bool { tokens > budget + budget / 4 }

    /// The beginning at whose turn the highest power of two divides a position. While messages are added it stays the
    /// same until it no longer fits, or a rounder one comes up: nobody has to remember it.
    private static func roundest(_ beginnings: [Int], _ candidates: [Candidate]) -> Int? {
        beginnings.max { roundness($0, candidates) < roundness($1, candidates) }
    }

    /// The most zeros at the end of a position between this beginning and the one before.
    private static func roundness(_ index: Int, _ candidates: [Candidate]) -> Int {
        let seq = candidates[index].seq
        return roundness(from: candidates[..<index].last { $0.mayBegin }?.seq ?? seq &- 1, through: seq)
    }

    /// The most zeros at the end of a position behind `before`, which is not negative: as many as stand behind the highest
    /// bit in which the two differ. No position is looked at, because rows that were written by hand may leave out any number.
    static func roundness(from before: Int64, through seq: Int64) -> Int {
        guard before < seq else { return 0 }
        return Int64.bitWidth - 1 - (before ^ seq).leadingZeroBitCount
    }

    /// The tokens from each index on.
    private static func sums(_ candidates: [Candidate]) -> [Int] {
        var sums = [Int](repeating: 0, count: candidates.count + 1)
        for index in candidates.indices.reversed() { sums[index] = sums[index + 1] + candidates[index].tokens }
        return sums
    }

    /// The first beginning at or behind a stored position.
    private static func position(_ seq: Int64, _ candidates: [Candidate]) -> Int {
        guard let first = candidates.first, seq > first.seq else { return 0 }
        return candidates.indices.first { candidates[$0].seq >= seq && candidates[$0].mayBegin } ?? candidates.count
    }
}
