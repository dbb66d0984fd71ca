import CMariaDB
import NIOCore
import Persistence

/// Binds the values of one execution of a statement.
///
/// Text and bytes from `pieceSize` on are not copied and not part of the statement's packet: they are sent in pieces
/// before it, which also keeps a packet below what the server takes.
final class ValueBinds {
    static let pieceSize = 1 << 20

    private let memory = RawMemory()
    private var binds: [MYSQL_BIND] = []

    /// Binds all values, which fit into a packet; the caller executes next.
    ///
    /// - Throws: `StatementFailure`.
    func bind(_ values: ArraySlice<SQLValue>, to statement: Statement) throws {
        precondition(values.count == statement.parameterCount, "a statement has one value per place")
        guard !values.isEmpty else { return }
        memory.reset(reserving: values.reduce(0) { $0 + (Self.isLong($1) ? 0 : $1.byteCount + 16) })
        reserve(values.count)
        for (place, value) in values.enumerated() { set(value, at: place) }
        try binds.withUnsafeMutableBufferPointer { try statement.bind($0) }
        for (place, value) in values.enumerated() where Self.isLong(value) {
            try value.withBytes { try sendInPieces($0, at: place, of: statement) }
        }
    }

    /// Binds a row of a bulk statement; the caller executes next. Text and bytes are sent from where they lie: a long row is
    /// not copied once more, and it has to stay until it was executed.
    ///
    /// - Throws: as the other one.
    func bind(_ row: UnsafeRawBufferPointer, _ kinds: [BulkRows.Kind], to statement: Statement) throws {
        precondition(kinds.count == statement.parameterCount, "a row has one value per place")
        memory.reset(reserving: 16 * kinds.count)
        reserve(kinds.count)
        var values = BulkValues(row)
        var long: [(place: Int, bytes: UnsafeRawBufferPointer)] = []
        for (place, kind) in kinds.enumerated() {
            cm_clear(&binds[place])
            guard !values.nextIsNull() else {
                binds[place].buffer_type = MYSQL_TYPE_NULL
                continue
            }
            switch kind {
            case .integer: set(values.integer(), MYSQL_TYPE_LONGLONG, at: place)
            case .double: set(values.double(), MYSQL_TYPE_DOUBLE, at: place)
            case .text, .blob:
                let bytes = values.bytes()
                let isLong = bytes.count >= Self.pieceSize
                if isLong { long.append((place, bytes)) }
                setBuffer(
                    UnsafeMutableRawPointer(mutating: bytes.baseAddress), count: isLong ? 0 : bytes.count,
                    kind == .text ? MYSQL_TYPE_STRING : MYSQL_TYPE_BLOB, at: place)
            case .unknown: preconditionFailure("a value has a kind")
            }
        }
        try binds.withUnsafeMutableBufferPointer { try statement.bind($0) }
        for (place, bytes) in long { try sendInPieces(bytes, at: place, of: statement) }
    }

    /// Whether values could be sent, and be read again: a row is one packet.
    static func fits(_ bytes: Int, in places: Int, limit: Int) -> Bool { bytes + 16 * places + 1_024 <= limit }

    /// What a row of sixty places needs beside its values.
    static let overhead = 2_048

    private static func isLong(_ value: SQLValue) -> Bool {
        switch value {
        case .text, .blob: value.byteCount >= pieceSize
        case .null, .integer, .double, .id: false
        }
    }

    private func reserve(_ count: Int) {
        if binds.count < count { binds += repeatElement(MYSQL_BIND(), count: count - binds.count) }
    }

    private func set(_ value: SQLValue, at place: Int) {
        cm_clear(&binds[place])
        switch value {
        case .null:
            binds[place].buffer_type = MYSQL_TYPE_NULL
        case .integer(let integer): set(integer, MYSQL_TYPE_LONGLONG, at: place)
        case .double(let double): set(double, MYSQL_TYPE_DOUBLE, at: place)
        case .text, .blob, .id:
            let count = Self.isLong(value) ? 0 : value.byteCount
            let bytes = memory.take(count, of: UInt8.self)
            if count > 0 { value.copyBytes(to: bytes) }
            setBuffer(bytes, count: count, value.wireType, at: place)
        }
    }

    private func set<Number: BitwiseCopyable>(_ number: Number, _ type: enum_field_types, at place: Int) {
        let slot = memory.take(1, of: Number.self)
        slot.pointee = number
        setBuffer(slot, count: 8, type, at: place)
    }

    private func setBuffer(_ buffer: UnsafeMutableRawPointer?, count: Int, _ type: enum_field_types, at place: Int) {
        binds[place].buffer = buffer
        binds[place].buffer_length = UInt(count)
        binds[place].buffer_type = type
    }

    private func sendInPieces(_ bytes: UnsafeRawBufferPointer, at place: Int, of statement: Statement) throws {
        for start in stride(from: 0, to: bytes.count, by: Self.pieceSize) {
            let piece = UnsafeRawBufferPointer(rebasing: bytes[start..<min(start + Self.pieceSize, bytes.count)])
            try statement.sendLongData(piece, to: place)
        }
    }
}

extension SQLValue {
    /// How the value is sent.
    var wireType: enum_field_types {
        switch self {
        case .null: MYSQL_TYPE_NULL
        case .integer: MYSQL_TYPE_LONGLONG
        case .double: MYSQL_TYPE_DOUBLE
        case .text: MYSQL_TYPE_STRING
        case .blob, .id: MYSQL_TYPE_BLOB
        }
    }

    /// The bytes of text, a blob or an identifier; of others none.
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        switch self {
        case .text(var text):
            return try text.withUTF8 { try body(UnsafeRawBufferPointer($0)) }
        case .blob(let buffer):
            return try buffer.withUnsafeReadableBytes(body)
        case .id(let id):
            let halves = (id.high.bigEndian, id.low.bigEndian)
            return try withUnsafeBytes(of: halves, body)
        case .null, .integer, .double:
            return try body(UnsafeRawBufferPointer(start: nil, count: 0))
        }
    }

    /// Copies them; there is room for `byteCount`.
    func copyBytes(to target: UnsafeMutablePointer<UInt8>) {
        withBytes { bytes in
            guard let start = bytes.baseAddress else { return }
            UnsafeMutableRawPointer(target).copyMemory(from: start, byteCount: bytes.count)
        }
    }
}
