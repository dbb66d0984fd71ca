import Persistence
import Testing

@testable import Conversations
@testable import TurnpikeRuntime

@Suite("What readyz says of the spool") struct SpoolReportTests {
    private func problems(_ change: (inout SpoolStatus) -> Void) -> [String] {
        var status = SpoolStatus()
        status.turns = 1
        change(&status)
        return SpoolService.report(status).problems
    }

    @Test func nothingWhileAllIsWell() { #expect(problems { _ in }.isEmpty) }

    @Test(arguments: [DatabaseError.Failure.refuse, .retryTransaction])
    func whyTheDatabaseRefusesTurns(_ failure: DatabaseError.Failure) {
        let error = DatabaseError(failure, "a right is missing", code: 1_142)
        #expect(
            problems { $0.replayFailure = error }
                == ["the database refuses turns, which wait: a right is missing (1142)"])
    }

    @Test func nothingOnceNoTurnWaits() {
        #expect(
            problems { status in
                status.turns = 0
                status.replayFailure = DatabaseError(.refuse, "a right is missing")
            }.isEmpty)
    }

    @Test(arguments: [DatabaseError.Failure.unavailable, .overloaded, .unknownAtCommit, .resend])
    func aDatabaseThatDoesNotAnswerIsNotSaidToRefuse(_ failure: DatabaseError.Failure) {
        let error = DatabaseError(failure, "nobody is there")
        #expect(problems { $0.replayFailure = error }.isEmpty)
        #expect(
            problems { status in
                status.replayFailure = error
                status.isBypassingDatabase = true
            } == ["the database does not take turns; they are spooled: nobody is there"])
    }
}
