import NIOCore
import OpenAIWire
import Persistence
import Testing

@testable import Conversations

/// Results that do not come right behind their call: no upstream takes a result without its call in front of it.
@Suite struct LateResultTests {
    private static func calling(_ ids: String..., content: String = "null") -> String {
        let calls = ids.map { #"{"id":"\#($0)","type":"function","function":{"name":"f","arguments":"{}"}}"# }
        return #"{"role":"assistant","content":\#(content),"tool_calls":[\#(calls.joined(separator: ","))]}"#
    }

    private func result(_ id: String) -> String { #"{"role":"tool","tool_call_id":"\#(id)","content":"r"}"# }
    private func user(_ text: String) -> String { #"{"role":"user","content":"\#(text)"}"# }
    private func said(_ text: String) -> String { #"{"role":"assistant","content":"\#(text)"}"# }

    private func role(_ body: String) -> MessageRole {
        MessageRole(name: String(body.dropFirst(9).prefix { $0 != "\"" }))
    }

    private func stored(_ bodies: [String], from seq: Int64 = 1) throws -> [StoredMessage] {
        try bodies.enumerated().map { index, body in
            let digest = StoredDigest(try .init(messageJSON: ByteBuffer(string: body)))
            let outline = MessageOutline(
                seq: seq + Int64(index), turnID: .generate(), role: role(body), digest: digest, digestVersion: 1)
            return StoredMessage(
                outline: outline, body: ByteBuffer(string: body), createdAt: Timestamp(microseconds: 1))
        }
    }

    private func incoming(_ bodies: [String]) throws -> [IncomingTurn.Message] {
        try bodies.map { body in
            let bytes = ByteBuffer(string: body)
            return IncomingTurn.Message(
                body: bytes, role: role(body), digest: StoredDigest(try .init(messageJSON: bytes)))
        }
    }

    /// What a model is sent.
    private func shown(_ bodies: [String], _ next: [String], from start: Int = 0, older: [String] = []) throws
        -> [String]
    {
        let run = StoredRun(try stored(bodies)[...])
        let new = try incoming(next)
        guard
            let replayed = ToolRounds(run, older: try stored(older), before: new, replaysPartial: true)?
                .replayed(from: start)
        else { return bodies[start...] + next }
        var found: [ByteBuffer] = []
        for index in start..<bodies.count + next.count {
            if let call = replayed.calls[index] { found.append(call) }
            if index >= bodies.count {
                found.append(new[index - bodies.count].body)
            } else if let body = replayed.bodies[index] {
                found.append(body)
            }
        }
        return found.map { String(buffer: $0) }
    }

    @Test func aCallIsShownInFrontOfItsLateResultAndStaysThere() throws {
        let call = Self.calling("a")
        let before = [user("1"), call, user("2")]
        let late = [user("1"), user("2"), said("x"), call, result("a")]
        #expect(try shown([user("1"), call], [user("2")]) == [user("1"), user("2")])
        #expect(try shown(before + [said("x")], [result("a")]) == late)
        #expect(
            try shown(before + [said("x"), result("a"), said("y")], [user("3")]) == late + [said("y"), user("3")])
    }

    @Test func twoClientsRoundsAreBothWhole() throws {
        let (a, b) = (Self.calling("a"), Self.calling("b"))
        let history = [user("A"), a, user("B"), b]
        #expect(try shown(history, [result("a")]) == [user("A"), user("B"), a, result("a")])
        let next = try shown(history + [result("a"), said("x")], [result("b")])
        #expect(next == [user("A"), user("B"), a, result("a"), said("x"), b, result("b")])
        #expect(
            try shown(history, [result("b"), result("a")]) == [user("A"), user("B"), b, result("b"), a, result("a")])
    }

    /// Some clients use an id for each of their calls. Each is looked at once: otherwise this takes minutes.
    @Test func thousandsOfCallsWithOneIDAreEachAnswered() throws {
        let history = (0..<5_000).flatMap { [user("\($0)"), Self.calling("a"), result("a")] }
        #expect(try shown(history, [user("last")]) == history + [user("last")])
        let unanswered = Array(repeating: Self.calling("a"), count: 5_000)
        #expect(try shown(unanswered, [result("a")]) == [Self.calling("a"), result("a")])
        #expect(try shown(history + unanswered, [result("a")], from: 15_000).count == 2)
    }

    @Test func whatWasSaidBesideACallStaysWhereItWasSaid() throws {
        let call = Self.calling("a", "b", content: #""see""#)
        let first = [user("1"), Self.calling("a", content: #""see""#), result("a")]
        #expect(try shown([user("1"), call], [result("a")]) == first)
        let second = try shown([user("1"), call, result("a"), said("x")], [result("b")])
        #expect(second == first + [said("x"), Self.calling("b"), result("b")])
    }

    @Test func resultsOfTwoCallsAmongEachOtherAreEachBehindTheirOwn() throws {
        let history = [Self.calling("a", "b"), user("1"), Self.calling("c"), user("2")]
        let sent = try shown(history, [result("a"), result("c"), result("b")])
        #expect(
            sent == [
                user("1"), user("2"), Self.calling("a"), result("a"), Self.calling("c"), result("c"),
                Self.calling("b"), result("b"),
            ])
    }

    @Test func aStoredResultWhoseCallIsCutAwayIsLeftOutAndARequestsOneBringsItsCall() throws {
        let history = [user("1"), Self.calling("a"), user("2"), said("x")]
        #expect(
            try shown(history + [result("a"), said("y")], [user("3")], from: 2) == [
                user("2"), said("x"), said("y"), user("3"),
            ])
        #expect(try shown(history, [result("a")], from: 2) == [user("2"), said("x"), Self.calling("a"), result("a")])
        let older = try shown([user("2")], [result("z")], older: [Self.calling("z")])
        #expect(older == [user("2"), Self.calling("z"), result("z")])
        #expect(try shown([user("2"), result("z"), said("x")], [user("3")]) == [user("2"), said("x"), user("3")])
    }

    @Test func aCallIsMissingWhereAllWithItsIDAreAnswered() throws {
        func missing(_ bodies: [String], _ next: [String]) throws -> Set<String> {
            ToolRounds.missingCalls(of: try incoming(next), in: StoredRun(try stored(bodies)[...]))
        }
        let call = Self.calling("t", "u")
        #expect(try missing([user("1")], [result("t")]) == ["t"])
        #expect(try missing([user("1"), call, result("u")], [result("t")]).isEmpty)
        #expect(try missing([user("1"), call, result("t"), said("x")], [result("t"), result("u")]) == ["t"])
        #expect(try missing([user("1"), call, result("t"), call], [result("t"), call, result("t")]).isEmpty)
        #expect(try missing([user("1"), result("t")], [user("2")]).isEmpty)
        #expect(try missing([], [result("t"), call, result("t")]) == ["t"])
    }

    @Test func anIdThatIsUsedAgainBelongsToTheNewestOpenCall() throws {
        let call = Self.calling("t")
        let history = [user("1"), call, result("t"), call]
        #expect(try shown(history, [result("t")]) == history + [result("t")])
        #expect(
            try shown([user("A"), call, user("B"), call, result("t"), said("x")], [result("t")]).suffix(3) == [
                said("x"), call, result("t"),
            ])
        let earlier = call.replacing(#""name":"f""#, with: #""name":"g""#)
        #expect(
            try shown([user("A"), earlier, user("B"), call, result("t"), said("x")], [result("t")]) == [
                user("A"), user("B"), call, result("t"), said("x"), earlier, result("t"),
            ])
    }
}
