import NIOCore
import OpenAIWire
import Testing
import Tokens

struct CalibrationTests {
    @Test func aModelIsKnownAfterAFewReports() {
        let calibration = TokenCalibration()
        for _ in 0..<20 { calibration.observe("m", estimated: 1_000, reported: 1_300) }
        let estimator = calibration.estimator(for: "m")
        #expect(abs(estimator.factor - 1.3) < 0.001)
        #expect(estimator.deviation < 0.1)
        #expect(calibration.estimator(for: "other") == TokenEstimator())
    }

    @Test func whatChangesIsFollowedAndWidensTheMargin() {
        let calibration = TokenCalibration()
        for _ in 0..<20 { calibration.observe("m", estimated: 1_000, reported: 1_000) }
        let before = calibration.estimator(for: "m")
        for _ in 0..<40 { calibration.observe("m", estimated: 1_000, reported: 2_000) }
        let after = calibration.estimator(for: "m")
        #expect(abs(after.factor - 2) < 0.05)
        #expect(after.deviation > before.deviation)
    }

    @Test func whatNoTokeniserDoesIsNotBelieved() {
        let calibration = TokenCalibration()
        for (estimated, reported) in [(1_000, 0), (1_000, 100_000), (5, 8), (1_000, -3)] {
            calibration.observe("m", estimated: estimated, reported: reported)
        }
        #expect(calibration.count == 0)
    }

    @Test func theTableIsBoundedAndForgetsTheOldest() {
        let calibration = TokenCalibration()
        for index in 0..<2_000 { calibration.observe("model \(index)", estimated: 100, reported: 150) }
        #expect(calibration.count <= 512)
        #expect(calibration.estimator(for: "model 1999").factor == 1.5)
        #expect(calibration.estimator(for: "model 0").factor == 1)
    }

    @Test func countersLearnFromWhatTheyHaveCounted() throws {
        let counters = TokenCounters(ModelCatalogue())
        let text = String(repeating: "some words that are counted ", count: 50)
        let request = try ChatRequest(
            scanning: ByteBuffer(string: #"{"model": "m", "messages": [{"role": "user", "content": "\#(text)"}]}"#))
        let truth = Tokenizer(.o200k).count(text) + 10
        for _ in 0..<30 {
            let counter = counters.counter(for: "m")
            counters.observe("m", try counter.count(request), by: counter, reported: truth)
        }
        let learned = try counters.counter(for: "m").count(request).total
        #expect(abs(learned.tokens - truth) <= truth / 20 && learned.atMost >= truth)
    }
}
