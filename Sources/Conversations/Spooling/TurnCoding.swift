import NIOCore
import Persistence

/// A turn as bytes, for the spool.
///
/// A version, then the fields in order, little-endian; texts and bodies with their length in front. Owner and session
/// come first, so that a record's session is known without reading it whole. A release reads what every earlier one
/// wrote; what a newer one wrote is refused, and kept.
enum TurnCoding {
    static let version: UInt8 = 1
    /// With a title behind the messages: written only where there is one.
    static let titledVersion: UInt8 = 2
    /// How many bytes tell a record's key and turn.
    static let prefixSize = 1 + 3 * 16

    struct Failure: Error { let reason: String }

    static func encode(_ turn: TurnDraft) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(turn.byteCount + 128)
        buffer.writeInteger(turn.title == nil ? version : titledVersion)
        for id in [turn.key.owner, turn.key.session, turn.id] { buffer.writeBytes(id.bytes) }
        buffer.write(turn.baseSeq)
        buffer.writeBytes(turn.requestDigest.bytes)
        buffer.write(Int64(turn.attempt))
        buffer.write(turn.idempotencyKey)
        buffer.write(turn.contextStart)
        buffer.write(turn.supersedes.fromSeq)
        buffer.write(turn.supersedes.retriesLastTurn ? 1 : 0)
        buffer.write(turn.knownTurn)
        for text in [turn.status.rawValue, turn.model, turn.provider] { buffer.write(text) }
        buffer.write(turn.promptTokens.map(Int64.init))
        buffer.write(turn.completionTokens.map(Int64.init))
        buffer.write(turn.system)
        buffer.write(Int64(turn.messages.count))
        for message in turn.messages { buffer.write(message) }
        if let title = turn.title { buffer.write(title) }
        return buffer
    }

    /// Whose turn it is, from the first bytes of a record.
    static func identity(_ prefix: ByteBuffer) throws(Failure) -> (key: SessionKey, turn: UniqueID) {
        var reader = TurnDecoder(prefix)
        return try reader.identity()
    }

    static func decode(_ bytes: ByteBuffer) throws(Failure) -> TurnDraft {
        var reader = TurnDecoder(bytes)
        return try reader.turn()
    }
}

extension ByteBuffer {
    fileprivate mutating func write(_ number: Int64) { writeInteger(number, endianness: .little) }

    fileprivate mutating func write(_ number: Int64?) {
        writeInteger(UInt8(number == nil ? 0 : 1))
        if let number { write(number) }
    }

    fileprivate mutating func write(_ text: String) {
        write(Int64(text.utf8.count))
        writeString(text)
    }

    fileprivate mutating func write(_ text: String?) {
        writeInteger(UInt8(text == nil ? 0 : 1))
        if let text { write(text) }
    }

    fileprivate mutating func write(_ bytes: ByteBuffer) {
        write(Int64(bytes.readableBytes))
        writeImmutableBuffer(bytes)
    }

    fileprivate mutating func write(_ digest: StoredDigest?) {
        writeInteger(UInt8(digest == nil ? 0 : 1))
        if let digest { writeBytes(digest.bytes) }
    }

    fileprivate mutating func write(_ known: KnownTurn?) {
        switch known {
        case nil: writeInteger(UInt8(0))
        case .first: writeInteger(UInt8(1))
        case .after(let id):
            writeInteger(UInt8(2))
            writeBytes(id.bytes)
        }
    }

    fileprivate mutating func write(_ system: SystemMessages?) {
        writeInteger(UInt8(system == nil ? 0 : 1))
        guard let system else { return }
        writeBytes(system.digest.bytes)
        write(system.body)
    }

    fileprivate mutating func write(_ message: NewMessage) {
        write(message.role.rawValue)
        writeBytes(message.digest.bytes)
        write(Int64(message.digestVersion))
        write(message.tokens.map(Int64.init))
        write(message.tokenEncoding.map(Int64.init))
        writeInteger(UInt8(message.isPartial ? 1 : 0))
        write(message.chapter)
        writeInteger(UInt8(message.citations == nil ? 0 : 1))
        if let citations = message.citations { write(citations) }
        write(message.model)
        write(message.status?.rawValue)
        writeInteger(UInt8(message.metadata == nil ? 0 : 1))
        if let metadata = message.metadata { write(metadata) }
        write(message.createdAt?.microseconds)
        write(message.body)
    }
}

/// Reads what `TurnCoding` wrote; everything is checked, because it comes from a disk.
private struct TurnDecoder {
    typealias Failure = TurnCoding.Failure

    private var bytes: ByteBuffer

    init(_ bytes: ByteBuffer) { self.bytes = bytes }

    mutating func identity() throws(Failure) -> (key: SessionKey, turn: UniqueID) {
        let version = try byte()
        guard version == TurnCoding.version || version == TurnCoding.titledVersion else {
            throw Failure(reason: "a turn of format \(version)")
        }
        let owner = try id()
        return (SessionKey(owner: owner, session: try id()), try id())
    }

    mutating func turn() throws(Failure) -> TurnDraft {
        let isTitled = bytes.getInteger(at: bytes.readerIndex) == TurnCoding.titledVersion
        let (key, id) = try identity()
        let base = try count()
        var turn = TurnDraft(id: id, key: key, baseSeq: base, requestDigest: try digest(), messages: [])
        turn.attempt = Int(try count())
        if try byte() == 1 { turn.idempotencyKey = try self.digest() }
        turn.contextStart = try optionalCount()
        turn.supersedes = Supersession(fromSeq: try optionalCount(), retriesLastTurn: try number() != 0)
        turn.knownTurn = try knownTurn()
        guard let status = TurnStatus(rawValue: try text()) else { throw Failure(reason: "a turn of unknown status") }
        turn.status = status
        turn.model = try text()
        turn.provider = try text()
        turn.promptTokens = try optionalCount(in: SessionRow.tokens).map(Int.init)
        turn.completionTokens = try optionalCount(in: SessionRow.tokens).map(Int.init)
        if try byte() == 1 {
            let digest = try digest()
            turn.system = SystemMessages(body: try body(), digest: digest)
        }
        let count = try number()
        guard count >= 0 else { throw Failure(reason: "a turn of \(count) messages") }
        for _ in 0..<count { turn.messages.append(try message()) }
        if isTitled { turn.title = try text() }
        guard bytes.readableBytes == 0 else { throw Failure(reason: "a turn with bytes behind its end") }
        return turn
    }

    private mutating func message() throws(Failure) -> NewMessage {
        let role = MessageRole(rawValue: try number()) ?? .other
        let digest = try digest()
        let version = Int(try count())
        let tokens = try optionalCount(in: SessionRow.tokens).map(Int.init)
        var message = NewMessage(
            role: role, body: ByteBuffer(), digest: digest, digestVersion: version, tokens: tokens)
        message.tokenEncoding = try optionalNumber().map(Int.init)
        message.isPartial = try byte() == 1
        if try byte() == 1 { message.chapter = try text() }
        if try byte() == 1 { message.citations = try body() }
        if try byte() == 1 { message.model = try text() }
        if try byte() == 1 { message.status = TurnStatus(rawValue: try text()) }
        if try byte() == 1 { message.metadata = try body() }
        message.createdAt = try optionalNumber().map(Timestamp.init(microseconds:))
        message.body = try body()
        return message
    }

    private mutating func knownTurn() throws(Failure) -> KnownTurn? {
        switch try byte() {
        case 0: return nil
        case 1: return .first
        default: return .after(try id())
        }
    }

    private mutating func byte() throws(Failure) -> UInt8 { try present(bytes.readInteger()) }

    private mutating func number() throws(Failure) -> Int64 { try present(bytes.readInteger(endianness: .little)) }

    private mutating func optionalNumber() throws(Failure) -> Int64? { try byte() == 0 ? nil : try number() }

    /// What is counted on from, or added up: outside of the range no release has written it.
    private mutating func count(in range: ClosedRange<Int64> = SessionRow.counts) throws(Failure) -> Int64 {
        let number = try number()
        guard range.contains(number) else { throw Failure(reason: "a turn with a count of \(number)") }
        return number
    }

    private mutating func optionalCount(
        in range: ClosedRange<Int64> = SessionRow.counts
    ) throws(Failure) -> Int64? { try byte() == 0 ? nil : try count(in: range) }

    private mutating func id() throws(Failure) -> UniqueID {
        try present(bytes.readBytes(length: 16).flatMap { UniqueID(bytes: $0) })
    }

    private mutating func digest() throws(Failure) -> StoredDigest {
        try present(bytes.readBytes(length: 32).flatMap { StoredDigest(bytes: $0) })
    }

    private mutating func body() throws(Failure) -> ByteBuffer {
        let count = try number()
        guard count >= 0, count <= bytes.readableBytes else { throw Failure(reason: "a turn that is cut off") }
        return try present(bytes.readSlice(length: Int(count)))
    }

    private mutating func text() throws(Failure) -> String {
        var body = try body()
        return body.readString(length: body.readableBytes) ?? ""
    }

    private func present<Value>(_ value: Value?) throws(Failure) -> Value {
        guard let value else { throw Failure(reason: "a turn that is cut off") }
        return value
    }
}
