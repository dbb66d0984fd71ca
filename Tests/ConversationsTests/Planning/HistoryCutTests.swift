import Testing

@testable import Conversations

@Suite struct HistoryCutTests {
    /// Turns of two messages each, of so many tokens a message.
    private func candidates(_ turns: Int, tokens: Int = 10) -> [HistoryCut.Candidate] {
        (0..<turns * 2).map { HistoryCut.Candidate(seq: Int64($0 + 1), tokens: tokens, mayBegin: $0 % 2 == 0) }
    }

    private func limits(_ tokens: Int, messages: Int? = nil, from start: Int64 = 0) -> HistoryCut.Limits {
        HistoryCut.Limits(
            tokens: tokens, lowTokens: tokens * 7 / 10, leastTokens: tokens * 3 / 10, messages: messages,
            lowMessages: (messages ?? 0) * 7 / 10,
            repeated: 0, unlisted: 0, contextStart: start, required: nil)
    }

    @Test func everythingThatFitsIsThere() {
        let cut = HistoryCut(candidates(5), limits(100))
        #expect(cut.start == 0 && cut.tokens == 100 && !cut.moves && !cut.isByTokens)
    }

    @Test func whatOutgrowsTheBudgetIsCutToTheLowWatermark() {
        let cut = HistoryCut(candidates(6), limits(100))
        #expect(cut.start == 6 && cut.tokens == 60 && cut.moves && cut.isByTokens)
    }

    @Test func theBeginningStaysWhereTheLastCutLeftIt() {
        let cut = HistoryCut(candidates(7), limits(100, from: 7))
        #expect(cut.start == 6 && cut.tokens == 80 && !cut.moves && cut.isByTokens)
    }

    @Test func whatWasCutForASmallModelComesBackForALargeOne() {
        let cut = HistoryCut(candidates(7), limits(1_000, from: 7))
        #expect(cut.start == 0 && !cut.moves)
    }

    @Test func whatWasCutForASmallModelIsCutAnewForALargeOne() {
        let cut = HistoryCut(candidates(50), limits(1_000, from: 91))
        #expect(cut.start == 30 && cut.tokens == 700 && cut.moves)
        // What is only somewhat less stays.
        let near = HistoryCut(candidates(50), limits(1_000, from: 69))
        #expect(near.start == 68 && near.tokens == 320 && !near.moves)
    }

    @Test func aMuchSmallerBudgetCutsForItself() {
        let cut = HistoryCut(candidates(50), limits(100, from: 31))
        #expect(cut.tokens > 60 && cut.tokens <= 100 && !cut.moves)
        let none = HistoryCut(candidates(50), limits(0, from: 31))
        #expect(none.start == 100 && !none.moves)
        // One that is not much smaller makes the cut for both.
        let shared = HistoryCut(candidates(50), limits(600, from: 31))
        #expect(shared.start == 58 && shared.moves)
        #expect(!HistoryCut(candidates(50), limits(1_000, from: 59)).moves)
    }

    @Test func aCutThatNobodyRemembersStaysForSomeTurnsToo() {
        let starts = (50..<90).map { HistoryCut(candidates($0), limits(200, from: 1)).start }
        #expect(starts == starts.sorted())
        #expect(Set(starts).count <= 16, "of \(starts.count) requests")
    }

    @Test(arguments: [0.3, 0.5, 0.7, 0.9, 1]) func alternatingBudgetsDoNotMoveTheCutToAndFro(_ ratio: Double) {
        var rules = HistoryRules()
        rules.retentionRatio = ratio
        for other in stride(from: 200, through: 2_000, by: 100) {
            var position: Int64 = 0
            var back = 0
            for turn in 1...600 {
                let budget = turn % 2 == 0 ? 2_000 : other
                var limits = limits(budget, from: position)
                (limits.lowTokens, limits.leastTokens) = (rules.low(budget), rules.least(budget))
                let candidates = candidates(turn)
                let cut = HistoryCut(candidates, limits)
                guard cut.moves else { continue }
                let moved = cut.start < candidates.count ? candidates[cut.start].seq : Int64(2 * turn + 1)
                if moved < position { back += 1 }
                position = moved
            }
            // Once, where the smaller one was the first that was exceeded.
            #expect(back <= 1, "of a budget of \(other)")
        }
    }

    @Test func aTurnIsNeverCutInTwo() {
        var turns = candidates(4)
        turns[3].mayBegin = false
        turns[4].mayBegin = false
        let cut = HistoryCut(turns, limits(70))
        #expect(cut.start == 6 && cut.tokens == 20)
    }

    @Test func aTurnAboveTheWatermarkStaysWhileItFits() {
        let cut = HistoryCut(candidates(3, tokens: 45), limits(100))
        #expect(cut.start == 4 && cut.tokens == 90)
        let none = HistoryCut(candidates(1, tokens: 51), limits(100))
        #expect(none.start == 2 && none.tokens == 0 && none.moves)
    }

    @Test func aRunningRoundIsThereEvenIfItDoesNotFit() {
        var limits = limits(30)
        limits.required = 4
        let cut = HistoryCut(candidates(3), limits)
        #expect(cut.start == 4)
        limits.tokens = 10
        limits.lowTokens = 7
        #expect(HistoryCut(candidates(3), limits).start == 4)
    }

    @Test func aStableLimitOnMessagesIsCutRarelyAndMuch() {
        #expect(HistoryCut(candidates(5), limits(1_000, messages: 10)).start == 0)
        let cut = HistoryCut(candidates(6), limits(1_000, messages: 10))
        #expect(cut.start == 6 && cut.moves && !cut.isByTokens)
        let later = HistoryCut(candidates(7), limits(1_000, messages: 10, from: 7))
        #expect(later.start == 6 && !later.moves)
        let again = HistoryCut(candidates(9), limits(1_000, messages: 10, from: 7))
        #expect(again.start == 12 && again.moves)
    }

    @Test func aPositionBehindEverythingInjectsNothing() {
        let cut = HistoryCut(candidates(2, tokens: 60), limits(100, from: 9))
        #expect(cut.start == 4 && cut.tokens == 0)
    }

    @Test func theRoundestPositionIsKnownWithoutLookingAtAnyOfThem() {
        for before in Int64(0)..<40 {
            for seq in before + 1..<140 {
                let naive = (before + 1...seq).reduce(0) { max($0, $1.trailingZeroBitCount) }
                #expect(HistoryCut.roundness(from: before, through: seq) == naive, "from \(before) through \(seq)")
            }
        }
        #expect(HistoryCut.roundness(from: 7, through: 7) == 0)
    }

    @Test func aGapOfAnyWidthIsCutAtOnce() {
        var candidates = candidates(50)
        for index in 80..<100 { candidates[index].seq += 1 << 53 }
        let cut = HistoryCut(candidates, limits(300, from: 1))
        #expect(cut.start == 80 && !cut.moves)
    }
}
