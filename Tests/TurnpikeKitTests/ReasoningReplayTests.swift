import NIOCore
import Testing

@testable import TurnpikeKit

/// Which reasoning a model gets back. Some providers answer 400 without that of a call, others with any.
@Suite struct ReasoningReplayTests {
    private static let call = #""tool_calls":[{"id":"c"}]"#
    private static let fields = #""reasoning_content":"a","reasoning":"b","reasoning_details":[{"text":"c"}]"#

    @Test(arguments: [
        (ReasoningReplay.keep, true, true), (.keep, false, true), (.toolCalls, true, true), (.toolCalls, false, false),
        (.drop, true, false), (.drop, false, false),
    ])
    func reasoningGoesBackAsTheProviderWantsIt(replay: ReasoningReplay, calls: Bool, isKept: Bool) {
        let start = #"{"role":"assistant","content":"x""# + (calls ? "," + Self.call : "")
        let message = ByteBuffer(string: start + "," + Self.fields + #","vendor":1}"#)
        let sent = String(buffer: replay.applied(to: message))
        #expect(sent == start + (isKept ? "," + Self.fields : "") + #","vendor":1}"#)
    }

    @Test func aMessageWithoutReasoningIsNotTouched() {
        let message = ByteBuffer(string: #"{ "role" : "assistant", "content":"reasoning" }"#)
        for replay in ReasoningReplay.allCases { #expect(replay.applied(to: message) == message) }
    }
}
