import Logging
import NIOHTTP1
import NIOPosix
import Persistence
import Synchronization
import Testing
import TurnpikeKit
import TurnpikeTesting

@testable import Conversations

/// Who may believe that nobody else uses the database: at no time a process beside which another one serves.
@Suite struct SoleUseTests {
    @Test func aProcessAloneBelievesItOnceAllOthersHaveLookedAndUntilItIsLateForTheNextLook() async throws {
        try await SoleUseSite.with { (site: SoleUseSite) async throws in
            let process = site.process(.always)
            for _ in 0..<5 {
                #expect(try await process.look() == .nothing)
                #expect(!process.isInForce)
                site.wait(1)
            }
            #expect(try await process.look() == .begun)
            #expect(process.isInForce)
            // No longer than who comes waits before it serves.
            site.wait(milliseconds: 1_499)
            #expect(process.isInForce)
            site.wait(milliseconds: 1)
            #expect(!process.isInForce)
            #expect(try await process.look() == .nothing)
            #expect(process.isInForce)
        }
    }

    /// Who looks before that finds nothing, and is there.
    @Test func aClaimCountsFromWhenItIsThere() async throws {
        try await SoleUseSite.with { (site: SoleUseSite) async throws in
            let process = site.process(.always, on: SlowDatabase(site.database) { site.wait(2) })
            #expect(try await process.look() == .nothing)
            site.wait(4)
            #expect(try await process.look() == .nothing)
            site.wait(1)
            #expect(try await process.look() == .begun)
        }
    }

    @Test func ofTwoThatWantToBeAloneNeitherIs() async throws {
        try await SoleUseSite.with { (site: SoleUseSite) async throws in
            let (first, second) = (site.process(.always), site.process(.always))
            for _ in 0..<7 {
                _ = try await first.look()
                site.wait(1)
            }
            #expect(first.isInForce)
            #expect(try await second.look() == .wasNamed)
            site.wait(1)
            #expect(try await first.look() == .ended)
            #expect(!first.isInForce)
            #expect(try await second.look() == .ended)
            for _ in 0..<6 {
                site.wait(1)
                for process in [first, second] { #expect(try await process.look() == .nothing) }
                #expect(!first.isInForce && !second.isInForce)
            }
        }
    }

    @Test func nobodyIsAloneBesideAProcessThatWasThereBefore() async throws {
        try await SoleUseSite.with { (site: SoleUseSite) async throws in
            let (old, new) = (site.process(.never), site.process(.always))
            #expect(try await old.look() == .nothing)
            #expect(try await new.look() == .nothing)
            site.wait(1)
            #expect(try await old.look() == .wasNamed)
            #expect(try await new.look() == .ended)
            site.wait(5)
            #expect(try await new.look() == .nothing)
            #expect(!new.isInForce && new.isEnded)
        }
    }

    @Test func theNameOfAProcessThatDiedCostsTheNextOneItsPatienceOnce() async throws {
        try await SoleUseSite.with { (site: SoleUseSite) async throws in
            _ = try await site.process(.always).look()
            let next = site.process(.always)
            #expect(try await next.look() == .wasNamed)
            site.wait(5)
            #expect(try await next.look() == .begun)
            await next.release()
            #expect(!next.isInForce)
            #expect(try await site.process(.always).look() == .nothing)
        }
    }

    @Test func whoIsAloneByChanceClaimsTheDatabaseAgainWhenTheOtherOneIsGone() async throws {
        try await SoleUseSite.with { (site: SoleUseSite) async throws in
            let (first, second) = (site.process(.whileAlone), site.process(.never))
            for _ in 0..<6 {
                _ = try await first.look()
                site.wait(1)
            }
            #expect(first.isInForce)
            #expect(try await second.look() == .wasNamed)
            #expect(try await first.look() == .ended)
            #expect(!first.isInForce && !first.isEnded)
            for _ in 0..<29 {
                site.wait(1)
                #expect(try await first.look() == .nothing)
                #expect(try await second.look() == .nothing)
            }
            site.wait(1)
            #expect(try await first.look() == .nothing)
            site.wait(5)
            #expect(try await first.look() == .begun)
        }
    }

    @Test func besideAnotherOneThatStaysClaimsBecomeRare() {
        var state = SoleUse.State(.whileAlone)
        let own = UniqueID.generate()
        var (row, time) = (UniqueID?.none, UInt64(1_000_000_000))
        func claims(in seconds: Int, besideAnother isBesideAnother: Bool) -> Int {
            var claims = 0
            for _ in 0..<seconds {
                let change = state.look(row, own: own, at: time).change
                if change == .own { (row, claims) = (own, claims + 1) }
                if isBesideAnother { row = nil }
                time += 1_000_000_000
            }
            return claims
        }
        // At 0, 31, 92, 213, 454, 935 and 1,896 s, and then each hour.
        #expect(claims(in: 3_600, besideAnother: true) == 7)
        #expect(claims(in: 6 * 3_600, besideAnother: true) == 6)
        // Once it was alone, the next one costs it half a minute again.
        #expect(claims(in: 3_700, besideAnother: false) == 1)
        #expect(state.isBelieved)
        #expect(claims(in: 60, besideAnother: true) == 1)
        #expect(!state.isBelieved)
    }

    @Test func whoHasFoundAnotherOnesChangeBelievesNothingForAWhile() async throws {
        try await SoleUseSite.with { (site: SoleUseSite) async throws in
            let process = site.process(.whileAlone)
            for _ in 0..<6 {
                _ = try await process.look()
                site.wait(1)
            }
            // As many turns find it as were under way.
            for _ in 0..<8 { process.giveUp() }
            for _ in 0..<35 {
                #expect(!process.isInForce)
                site.wait(1)
                _ = try await process.look()
            }
            site.wait(1)
            _ = try await process.look()
            #expect(process.isInForce)
        }
    }

    /// Whether its name has come into the row or not.
    @Test(arguments: [true, false]) func aClaimThatIsGivenUpWhileItIsWrittenStaysSo(isWritten: Bool) async throws {
        try await SoleUseSite.with { (site: SoleUseSite) async throws in
            let given = Mutex<SoleUse?>(nil)
            let slow = SlowDatabase(site.database) {
                given.withLock { $0 }?.giveUp()
                if !isWritten { throw DatabaseError(.unavailable, "an injected fault") }
            }
            let process = site.process(.always, on: slow)
            given.withLock { $0 = process }
            _ = try? await process.look()
            #expect(process.isEnded)
            given.withLock { $0 = nil }
        }
    }

    @Test func nothingIsBelievedWhileACommitMayStillHappen() async throws {
        try await SoleUseSite.with { (site: SoleUseSite) async throws in
            let process = site.process(.always)
            _ = try await process.look()
            site.wait(5)
            _ = try await process.look()
            process.suspend()
            #expect(!process.isInForce)
            for _ in 0..<301 {
                site.wait(1)
                _ = try await process.look()
            }
            #expect(process.isInForce)
        }
    }
}

/// A database that takes its time for what is written.
private final class SlowDatabase: Database {
    private let base: any Database
    private let wait: @Sendable () throws -> Void

    init(_ base: any Database, _ wait: @escaping @Sendable () throws -> Void) { (self.base, self.wait) = (base, wait) }

    var dialect: Dialect { base.dialect }
    var threads: DatabaseThreads { base.threads }

    func blockingRead<Value>(_ body: (any Connection) throws -> Value) throws -> Value { try base.blockingRead(body) }

    func blockingWrite<Value>(_ body: (any Connection) throws -> Value) throws -> Value {
        try wait()
        return try base.blockingWrite(body)
    }

    func close() async {}
}
