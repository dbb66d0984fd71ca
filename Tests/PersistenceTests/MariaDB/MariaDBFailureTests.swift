import Persistence
import Testing

@testable import PersistenceMariaDB

@Suite("What an error number means") struct MariaDBFailureTests {
    @Test(arguments: [
        (2_006, DatabaseError.Failure.resend, true), (2_013, .retryTransaction, true), (1_927, .retryTransaction, true),
        (1_053, .retryTransaction, true), (1_047, .retryTransaction, true), (1_180, .retryTransaction, true),
        (1_290, .retryTransaction, true), (1_213, .retryTransaction, false), (1_205, .retryTransaction, false),
        (1_020, .retryTransaction, false), (1_317, .retryTransaction, false), (1_969, .unavailable, false),
        (1_114, .unavailable, false), (1_040, .unavailable, false), (1_062, .data, false), (1_406, .data, false),
        (1_366, .data, false), (1_264, .data, false), (4_025, .data, false), (1_153, .data, true),
        (1_064, .refuse, false), (1_146, .refuse, false), (1_142, .refuse, false),
        (1_143, .refuse, false), (1_370, .refuse, false), (1_044, .refuse, false), (1_364, .refuse, false),
    ])
    func ofAStatement(_ code: Int, _ failure: DatabaseError.Failure, _ losesConnection: Bool) {
        let found = MariaDBFailure.ofStatement(code, state: "HY000")
        #expect(found.failure == failure)
        #expect(found.losesConnection == losesConnection)
        #expect(found.code == code)
    }

    @Test(arguments: [
        ("22003", DatabaseError.Failure.data), ("23000", .data), ("40001", .retryTransaction),
        ("08S01", .retryTransaction), ("42000", .refuse), ("HY000", .refuse),
    ])
    func ofAnUnknownNumberByItsState(_ state: String, _ failure: DatabaseError.Failure) {
        #expect(MariaDBFailure.ofStatement(9_999, state: state).failure == failure)
    }

    @Test(arguments: [1_213, 1_205, 1_020, 2_006])
    func aCommitThatCertainlyDidNotHappen(_ code: Int) {
        #expect(MariaDBFailure.ofCommit(code, state: "HY000").failure == .retryTransaction)
    }

    @Test(arguments: [2_013, 1_180, 1_047, 1_317, 1_969, 1_114, 1_053, 1_927, 9_999])
    func aCommitThatMayHaveHappened(_ code: Int) {
        let found = MariaDBFailure.ofCommit(code, state: "HY000")
        #expect(found.failure == .unknownAtCommit)
        #expect(found.losesConnection)
    }

    @Test(arguments: [
        (2_002, DatabaseError.Failure.unavailable), (2_005, .unavailable), (2_013, .unavailable), (1_040, .unavailable),
        (1_044, .refuse), (1_045, .refuse), (1_049, .refuse), (1_698, .refuse), (2_026, .refuse), (2_059, .refuse),
        (1_142, .unavailable), (1_364, .unavailable), (9_999, .unavailable),
    ])
    func ofConnecting(_ code: Int, _ failure: DatabaseError.Failure) {
        #expect(MariaDBFailure.ofConnecting(code, detail: "a\u{1B}[31mé", tls: .verify).failure == failure)
    }

    @Test func controlCharactersOfATLSErrorAreNotShown() {
        #expect(MariaDBFailure.ofConnecting(2_026, detail: "a\u{1B}[31mé", tls: .verify).reason.hasSuffix("a?[31m?"))
    }

    @Test(arguments: [
        (1_044, "a right is missing: GRANT in docs/database.md"),
        (1_142, "a right is missing: GRANT in docs/database.md"),
        (1_143, "a right is missing: GRANT in docs/database.md"),
        (1_370, "a right is missing: GRANT in docs/database.md"),
        (1_146, "a table is missing: turnpike migrate"), (9_999, "the server refused the statement (SQLSTATE 42000)"),
    ])
    func aRefusedStatementSaysWhatToDo(_ code: Int, _ reason: String) {
        #expect(MariaDBFailure.ofStatement(code, state: "42000").reason == reason)
    }

    @Test(arguments: [
        (2_013, "the server accepts the connection and says nothing"), (1_040, "the server has too many connections"),
        (1_044, "the user has no rights on this database, or there is none of that name"),
        (1_045, "the server refuses the user or the password, or it wants TLS (tls=verify)"),
        (9_999, "the server does not let us in"),
    ])
    func aFailureOfConnectingSaysWhatToDo(_ code: Int, _ reason: String) {
        #expect(MariaDBFailure.ofConnecting(code, detail: "", tls: .off).reason == reason)
    }

    @Test(arguments: [ServerAddress.TLS.require, .verify])
    func aConnectionWithTLSIsNotToldToUseIt(_ tls: ServerAddress.TLS) {
        #expect(
            MariaDBFailure.ofConnecting(1_045, detail: "", tls: tls).reason
                == "the server refuses the user or the password")
    }

    @Test func anUnknownAuthorityIsToBeNamedAndAnotherFailureOfTLSIsNot() {
        let advice = ": name its authority with ca=FILE"
        for detail in ["self-signed certificate in certificate chain", "unable to get local issuer certificate"] {
            #expect(MariaDBFailure.ofConnecting(2_026, detail: detail, tls: .verify).reason.hasSuffix(detail + advice))
        }
        #expect(
            MariaDBFailure.ofConnecting(2_026, detail: "wrong version number", tls: .verify).reason
                == "no TLS connection: wrong version number")
    }
}
