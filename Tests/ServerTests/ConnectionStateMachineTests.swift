import NIOCore
import NIOHTTP1
import Testing
import TurnpikeKit

@testable import Server

/// The connection's decisions, without a network.
struct ConnectionStateMachineTests {
    private func machine() -> ConnectionStateMachine { ConnectionStateMachine(drainedBodyBytes: 10) }

    private func head(_ fields: HTTPHeaders = [:]) -> ConnectionStateMachine.Part {
        var fields = fields
        fields.add(name: "Host", value: "h")
        return .head(ArrivedHead(HTTPRequestHead(version: .http1_1, method: .POST, uri: "/", headers: fields)))
    }

    private func body(_ count: Int) -> ConnectionStateMachine.Part { .body(ByteBuffer(repeating: 0, count: count)) }

    @Test func waitsForAHeadAndForItsRest() {
        var machine = machine()
        #expect(machine.timeout == .head && machine.wantsRead)
        machine.readCompleted()
        #expect(machine.timeout == .head)
        #expect(machine.timedOut().name == "refuse")
    }

    @Test func aBodyRestartsItsTimeOutWithEachKilobyteAndNotWithEachByte() {
        var machine = machine()
        _ = machine.received(head(["Content-Length": "4096"]))
        _ = machine.uploadAsked()
        let asked = machine.progress
        for _ in 1..<1024 { #expect(machine.received(body(1)).name == "deliver") }
        #expect(machine.timeout == .body && machine.progress == asked)
        _ = machine.received(body(1))
        let paced = machine.progress
        #expect(paced != asked)
        _ = machine.received(body(1023))
        #expect(machine.progress == paced)
        _ = machine.received(body(1024))
        #expect(machine.progress != paced)
    }

    @Test func servesOneRequestAndWaitsForTheNext() {
        var machine = machine()
        #expect(machine.received(head()).name == "begin")
        #expect(machine.received(.end).name == "nothing")
        #expect(machine.timeout == nil && machine.wantsRead)
        #expect(machine.answerBegins(closes: false) == .keepAlive)
        machine.answerFlushing()
        #expect(machine.timeout == .write)
        #expect(machine.answerEnded(isWhole: true).name == "nothing")
        #expect(machine.timeout == .keepAlive)
        #expect(machine.timedOut().name == "close")
    }

    @Test func aReadThatBroughtAWholeRequestBeginsNoHead() {
        var machine = machine()
        _ = machine.received(head())
        _ = machine.received(.end)
        _ = machine.answerBegins(closes: false)
        _ = machine.answerEnded(isWhole: true)
        machine.readCompleted()
        #expect(machine.timeout == .keepAlive)
        machine.readCompleted()
        #expect(machine.timeout == .head)
    }

    @Test func holdsABodyUntilItIsAskedForAndStopsReading() {
        var machine = machine()
        _ = machine.received(head(["Content-Length": "7"]))
        #expect(machine.wantsRead)
        #expect(machine.received(body(3)).name == "nothing")
        #expect(!machine.wantsRead && machine.timeout == nil)
        #expect(machine.uploadAsked().name == "nothing")
        #expect(machine.takeHeld()?.name == "deliver")
        #expect(machine.takeHeld()?.name == nil)
        #expect(machine.wantsRead && machine.timeout == .body)
        #expect(machine.received(body(4)).name == "deliver")
        #expect(machine.received(.end).name == "deliverEnd")
    }

    @Test func goesOnReadingWhenTheWholeBodyIsHeld() {
        var machine = machine()
        _ = machine.received(head(["Content-Length": "3"]))
        _ = machine.received(body(3))
        _ = machine.received(.end)
        #expect(machine.wantsRead)
        _ = machine.received(head())
        #expect(!machine.wantsRead)
    }

    @Test func sendsContinueOnlyWhenNothingOfTheBodyIsThere() {
        var waiting = machine()
        _ = waiting.received(head(["Content-Length": "3", "Expect": "100-continue"]))
        #expect(waiting.uploadAsked().name == "sendContinue")
        #expect(waiting.uploadAsked().name == "nothing")
        var arrived = machine()
        _ = arrived.received(head(["Content-Length": "3", "Expect": "100-continue"]))
        _ = arrived.received(body(3))
        #expect(arrived.uploadAsked().name == "nothing")
    }

    @Test func pausesAndResumes() {
        var machine = machine()
        _ = machine.received(head(["Content-Length": "9"]))
        _ = machine.uploadAsked()
        machine.uploadPaused(true)
        #expect(machine.received(body(3)).name == "nothing")
        #expect(!machine.wantsRead && machine.timeout == nil)
        machine.uploadPaused(false)
        #expect(machine.takeHeld()?.name == "deliver")
        #expect(machine.wantsRead)
    }

    @Test func promisesTheConnectionOnlyIfTheRestOfTheBodyIsLittle() {
        for (length, expected) in [("10", ConnectionStateMachine.Persistence.keepAlive), ("11", .close)] {
            var machine = machine()
            _ = machine.received(head(["Content-Length": length]))
            #expect(machine.answerBegins(closes: false) == expected)
        }
        var chunked = machine()
        _ = chunked.received(head(["Transfer-Encoding": "chunked"]))
        #expect(chunked.answerBegins(closes: false) == .close)
        var expecting = machine()
        _ = expecting.received(head(["Content-Length": "3", "Expect": "100-continue"]))
        #expect(expecting.answerBegins(closes: false) == .close)
    }

    @Test func dropsTheRestOfABodyAfterItsAnswer() {
        var machine = machine()
        _ = machine.received(head(["Content-Length": "10"]))
        _ = machine.answerBegins(closes: false)
        #expect(machine.answerEnded(isWhole: true).name == "nothing")
        #expect(machine.timeout == .linger)
        #expect(machine.received(body(10)).name == "nothing")
        #expect(machine.received(.end).name == "nothing")
        #expect(machine.timeout == .keepAlive)
    }

    @Test func aBodyThatDribblesBehindItsAnswerGetsNoMoreTime() {
        var machine = machine()
        _ = machine.received(head(["Content-Length": "10"]))
        _ = machine.answerBegins(closes: false)
        _ = machine.answerEnded(isWhole: true)
        let begun = machine.progress
        for _ in 0..<9 { _ = machine.received(body(1)) }
        #expect(machine.progress == begun, "What restarts the time-out does not move.")
        #expect(machine.timedOut().name == "close")
    }

    @Test func readsOnlySoMuchWhileItLingers() {
        var machine = machine()
        _ = machine.received(head(["Content-Length": "100000000"]))
        _ = machine.answerBegins(closes: false)
        #expect(machine.answerEnded(isWhole: true).name == "linger")
        _ = machine.received(body(ConnectionStateMachine.maximumLingeredBytes))
        #expect(machine.wantsRead)
        _ = machine.received(body(1))
        #expect(!machine.wantsRead && machine.timeout == .linger)
    }

    @Test func lingersWhereSomethingIsUnread() {
        var machine = machine()
        _ = machine.received(head(["Content-Length": "1000"]))
        _ = machine.answerBegins(closes: false)
        #expect(machine.answerEnded(isWhole: true).name == "linger")
        #expect(machine.wantsRead && machine.timeout == .linger)
        #expect(machine.received(body(500)).name == "nothing")
        #expect(machine.timedOut().name == "close")
    }

    @Test func closesAfterAnAnswerThatBrokeOff() {
        var machine = machine()
        _ = machine.received(head())
        _ = machine.received(.end)
        _ = machine.answerBegins(closes: false)
        #expect(machine.answerEnded(isWhole: false).name == "close")
        #expect(!machine.wantsRead && machine.timeout == nil)
    }

    @Test func holdsWhatIsUnreadableBehindTheRequestInProgress() {
        var machine = machine()
        _ = machine.received(head())
        _ = machine.received(.end)
        #expect(machine.received(.unreadable(.headTooLarge)).name == "nothing")
        #expect(!machine.wantsRead)
        _ = machine.answerBegins(closes: false)
        _ = machine.answerEnded(isWhole: true)
        #expect(machine.takeHeld()?.name == "refuse")
        #expect(machine.answerBegins(closes: false) == .close)
        #expect(machine.answerEnded(isWhole: true).name == "linger")
    }

    @Test func timesOutABodyThatSomebodyWaitsFor() {
        var machine = machine()
        _ = machine.received(head(["Content-Length": "9"]))
        _ = machine.uploadAsked()
        #expect(machine.timedOut().name == "failUpload")
        #expect(machine.timeout == nil)
        #expect(machine.answerBegins(closes: false) == .close)
    }

    @Test func doesNotRestartTheHeadsTimeWithEachPiece() {
        var machine = machine()
        machine.readCompleted()
        let head0 = machine.progress
        machine.readCompleted()
        #expect(machine.progress == head0)
    }

    @Test func drainClosesIdleConnectionsAndLastsThroughBusyOnes() {
        var idle = machine()
        #expect(idle.drain().name == "close")
        var owing = machine()
        _ = owing.received(head())
        #expect(owing.drain().name == "nothing")
        #expect(owing.answerBegins(closes: false) == .close)
        var streaming = machine()
        _ = streaming.received(head())
        _ = streaming.received(.end)
        _ = streaming.answerBegins(closes: false)
        #expect(streaming.drain().name == "nothing")
        #expect(streaming.answerEnded(isWhole: true).name == "close")
    }

    @Test func drainAnswersAHeadThatHasBegunToArrive() {
        var machine = machine()
        machine.readCompleted()
        #expect(machine.drain().name == "nothing")
        #expect(machine.received(head()).name == "begin")
        #expect(machine.answerBegins(closes: false) == .close)
    }

    @Test func abortBreaksOffWhatIsUnderWay() {
        var machine = machine()
        _ = machine.received(head())
        #expect(machine.abort().name == "abortExchange")
        machine.answerFlushing()
        #expect(machine.abort().name == "close")
        #expect(machine.abort().name == "nothing")
    }

    @Test func aClosedChannelAbandonsTheExchangeOnce() {
        var machine = machine()
        _ = machine.received(head())
        _ = machine.received(body(3))
        #expect(machine.channelClosed().name == "abandonExchange")
        #expect(machine.channelClosed().name == "nothing")
        #expect(machine.takeHeld()?.name == nil && !machine.wantsRead)
    }

    @Test func aStalledReaderIsGivenUp() {
        var machine = machine()
        _ = machine.received(head())
        _ = machine.received(.end)
        _ = machine.answerBegins(closes: false)
        #expect(machine.timeout == nil)
        machine.writabilityChanged(false)
        #expect(machine.timeout == .write)
        #expect(machine.timedOut().name == "close")
        #expect(machine.channelClosed().name == "abandonExchange")
    }
}

extension ConnectionStateMachine.Action {
    /// The case's name, for comparisons.
    fileprivate var name: String {
        let text = "\(self)"
        return String(text.prefix { $0 != "(" })
    }
}
