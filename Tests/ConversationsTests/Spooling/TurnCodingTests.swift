import NIOCore
import Persistence
import Testing

@testable import Conversations

@Suite struct TurnCodingTests {
    private func digest(_ byte: UInt8) throws -> StoredDigest {
        try #require(StoredDigest(bytes: Array(repeating: byte, count: 32)))
    }

    /// A turn in which nothing has its default.
    private func fullTurn() throws -> TurnDraft {
        var message = NewMessage(
            role: .tool, body: ByteBuffer(string: #"{"a":"\u0000 🍣"}"#), digest: try digest(1), digestVersion: 7,
            tokens: 12)
        message.tokenEncoding = 3
        message.isPartial = true
        message.chapter = "one"
        message.citations = ByteBuffer(string: "[1]")
        message.model = "m"
        message.status = .imported
        message.metadata = ByteBuffer(string: "{}")
        message.createdAt = Timestamp(microseconds: 5)
        let plain = NewMessage(role: .user, body: ByteBuffer(), digest: try digest(2))
        var turn = TurnDraft(
            key: SessionKey(owner: .generate(), session: .generate()), baseSeq: 9, requestDigest: try digest(3),
            messages: [message, plain])
        turn.attempt = 2
        turn.idempotencyKey = try digest(4)
        turn.contextStart = 4
        turn.supersedes = Supersession(fromSeq: 5, retriesLastTurn: true)
        turn.knownTurn = .after(.generate())
        turn.status = .cancelled
        turn.model = "gpt"
        turn.provider = "p"
        turn.promptTokens = 10
        turn.completionTokens = 20
        turn.system = SystemMessages(body: ByteBuffer(string: "[]"), digest: try digest(5))
        turn.title = "a title"
        return turn
    }

    /// Everything in a value, as text. Positions in buffers do not count.
    private func text(_ value: Any) -> String {
        if let bytes = value as? ByteBuffer { return "bytes(\(String(buffer: bytes)))" }
        let children = Mirror(reflecting: value).children
        guard !children.isEmpty else { return "\(value)" }
        return "(" + children.map { "\($0.label ?? ""):\(text($0.value))" }.joined(separator: ",") + ")"
    }

    @Test func aTurnIsReadAsItWasWritten() throws {
        let turn = try fullTurn()
        let read = try TurnCoding.decode(TurnCoding.encode(turn))
        #expect(text(read) == text(turn))
        let plain = TurnDraft(
            key: turn.key, baseSeq: 0, requestDigest: turn.requestDigest, messages: [turn.messages[1]])
        #expect(text(try TurnCoding.decode(TurnCoding.encode(plain))) == text(plain))
    }

    /// A new field of a turn has to be spooled too: `fullTurn` sets it, or this fails. Only `baseTurn` and `trial` are for
    /// turns that go straight to the database.
    @Test func everyFieldOfATurnIsSetHere() throws {
        let (turn, plain) = (try fullTurn(), try plainTurn())
        #expect(fieldsAlike(turn, plain) == ["baseTurn", "premise", "trial"])
        #expect(fieldsAlike(turn.messages[0], plain.messages[0]) == [])
    }

    /// A turn in which everything has its default, and what has none is another than in `fullTurn`.
    private func plainTurn() throws -> TurnDraft {
        TurnDraft(
            key: SessionKey(owner: .generate(), session: .generate()), baseSeq: 0, requestDigest: try digest(6),
            messages: [NewMessage(role: .user, body: ByteBuffer(), digest: try digest(7))])
    }

    /// The names of the fields that are the same in two values of a type.
    private func fieldsAlike<Value>(_ one: Value, _ other: Value) -> [String] {
        zip(Mirror(reflecting: one).children, Mirror(reflecting: other).children)
            .filter { text($0.value) == text($1.value) }.map { $0.0.label ?? "" }
    }

    /// So that the release before reads all but the first turns of some sessions.
    @Test func onlyATurnWithATitleIsOfTheNewerFormat() throws {
        var turn = try fullTurn()
        #expect(TurnCoding.encode(turn).getInteger(at: 0) == TurnCoding.titledVersion)
        turn.title = nil
        #expect(TurnCoding.encode(turn).getInteger(at: 0) == TurnCoding.version)
    }

    @Test func theBeginningTellsWhoseTurnItIs() throws {
        let turn = try fullTurn()
        let prefix = try #require(TurnCoding.encode(turn).getSlice(at: 0, length: TurnCoding.prefixSize))
        let (key, id) = try TurnCoding.identity(prefix)
        #expect(key == turn.key && id == turn.id)
    }

    @Test func whatIsCutOffOrOfANewerReleaseIsRefused() throws {
        let bytes = TurnCoding.encode(try fullTurn())
        for length in 0..<bytes.readableBytes {
            let part = try #require(bytes.getSlice(at: 0, length: length))
            #expect(throws: TurnCoding.Failure.self) { try TurnCoding.decode(part) }
        }
        var newer = bytes
        newer.setInteger(TurnCoding.titledVersion + 1, at: 0)
        #expect(throws: TurnCoding.Failure.self) { try TurnCoding.decode(newer) }
    }

    /// Else the session that takes the turn would trap, or could not be read any more.
    @Test(arguments: [Int.min, -1, 1 << 53 + 1, .max])
    func aNumberThatNobodyCouldHaveCountedIsRefused(_ number: Int) throws {
        let changes: [(inout TurnDraft) -> Void] = [
            { $0.attempt = number }, { $0.contextStart = Int64(number) }, { $0.supersedes.fromSeq = Int64(number) },
            { $0.promptTokens = number }, { $0.completionTokens = number }, { $0.messages[0].tokens = number },
            { $0.messages[0].digestVersion = number }, { $0.baseSeq = Int64(number) },
        ]
        for change in changes {
            var turn = try fullTurn()
            change(&turn)
            #expect(throws: TurnCoding.Failure.self) { try TurnCoding.decode(TurnCoding.encode(turn)) }
        }
    }

    /// Damage is either refused or reads as another turn, one that can be written and read again: never as half of one.
    @Test func bytesOfAnyKindAreReadWithoutATrap() throws {
        let bytes = TurnCoding.encode(try fullTurn())
        var (refused, read) = (0, 0)
        for _ in 0..<2_000 {
            var damaged = bytes
            for _ in 0..<4 {
                damaged.setInteger(UInt8.random(in: 0...255), at: Int.random(in: 0..<bytes.readableBytes))
            }
            guard let turn = try? TurnCoding.decode(damaged) else {
                refused += 1
                continue
            }
            #expect(text(try TurnCoding.decode(TurnCoding.encode(turn))) == text(turn))
            read += 1
        }
        #expect(refused > 100 && read > 100)
    }
}
