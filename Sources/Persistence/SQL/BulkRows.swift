public import NIOCore

/// The values of the rows of a bulk statement, one behind the other in one piece of memory.
///
/// They lie there as MariaDB's protocol wants them, and where SQLite can read them: on its way from an exchange to the
/// database a value is copied once, and nothing is made for it. A value is a byte that says whether it is NULL; then come 8
/// bytes of a number, lowest first, or the length and the bytes of text or a blob.
///
/// It belongs to whoever fills it, and to one thread at a time.
public final class BulkRows {
    /// What the values of a column are.
    package enum Kind {
        /// Only NULL so far.
        case unknown
        case integer, double, text, blob
    }

    /// Rows whose columns have values of the same kinds: usually all of them.
    package struct Run {
        package var rows: Range<Int>
        package var kinds: [Kind]
    }

    /// How many values a row has.
    public let width: Int
    private var memory: UnsafeMutableRawPointer
    private var capacity: Int
    private var used = 0
    /// Where the rows end.
    private var ends: [Int] = []
    private var earlier: [Run] = []
    private var kinds: [Kind]
    private var column = 0

    /// Makes rows, none yet.
    ///
    /// - Parameters:
    ///   - width: How many values a row has.
    ///   - capacity: About how many bytes they will take; more is found where it is needed.
    public init(width: Int, capacity: Int = 1_024) {
        self.width = width
        self.capacity = max(capacity, 64)
        memory = .allocate(byteCount: self.capacity, alignment: 8)
        kinds = Array(repeating: .unknown, count: width)
    }

    /// Makes rows of values, one row after the other.
    public convenience init(width: Int, _ values: [SQLValue]) {
        precondition(values.count % max(width, 1) == 0, "every row has \(width) values")
        self.init(width: width, capacity: values.reduce(10 * values.count) { $0 + $1.byteCount })
        for value in values { append(value) }
    }

    deinit { memory.deallocate() }

    /// How many rows there are.
    public var count: Int { ends.count }
    /// Whether there are none.
    public var isEmpty: Bool { ends.isEmpty }

    // MARK: Filling

    /// The next value: NULL.
    public func appendNull() { next(1).storeBytes(of: 1, as: UInt8.self) }

    /// The next value.
    public func append(_ integer: Int64) { append(number: UInt64(bitPattern: integer), .integer) }

    /// The next value, or NULL.
    public func append(_ integer: Int?) { if let integer { append(Int64(integer)) } else { appendNull() } }

    /// The next value: 0 or 1.
    public func append(_ isTrue: Bool) { append(isTrue ? 1 as Int64 : 0) }

    /// The next value.
    public func append(_ time: Timestamp) { append(time.microseconds) }

    /// The next value, or NULL.
    public func append(_ time: Timestamp?) { append(time.map { Int($0.microseconds) }) }

    /// The next value.
    public func append(_ double: Double) { append(number: double.bitPattern, .double) }

    /// The next value.
    public func append(_ id: UniqueID) {
        let place = append(count: 16, .blob)
        place.storeBytes(of: id.high.bigEndian, as: UInt64.self)
        place.storeBytes(of: id.low.bigEndian, toByteOffset: 8, as: UInt64.self)
    }

    /// The next value, or NULL.
    public func append(_ id: UniqueID?) { if let id { append(id) } else { appendNull() } }

    /// The next value.
    public func append(_ text: String) {
        var text = text
        text.withUTF8 { append(UnsafeRawBufferPointer($0), .text) }
    }

    /// The next value, or NULL.
    public func append(_ text: String?) { if let text { append(text) } else { appendNull() } }

    /// The next value: the readable bytes.
    public func append(_ bytes: ByteBuffer) { bytes.withUnsafeReadableBytes { append($0, .blob) } }

    /// The next value, or NULL.
    public func append(_ bytes: ByteBuffer?) { if let bytes { append(bytes) } else { appendNull() } }

    /// The next value.
    public func append(_ value: SQLValue) {
        switch value {
        case .null: appendNull()
        case .integer(let integer): append(integer)
        case .double(let double): append(double)
        case .text(let text): append(text)
        case .blob(let bytes): append(bytes)
        case .id(let id): append(id)
        }
    }

    /// The next value: a blob of `count` bytes, which the caller writes at the returned place before it appends another one.
    package func append(blobOf count: Int) -> UnsafeMutableRawPointer { append(count: count, .blob) }

    private func append(_ bytes: UnsafeRawBufferPointer, _ kind: Kind) {
        let place = append(count: bytes.count, kind)
        if let start = bytes.baseAddress { place.copyMemory(from: start, byteCount: bytes.count) }
    }

    private func append(number: UInt64, _ kind: Kind) {
        expect(kind)
        let place = next(9)
        place.storeBytes(of: 0, as: UInt8.self)
        place.storeBytes(of: number.littleEndian, toByteOffset: 1, as: UInt64.self)
    }

    private func append(count: Int, _ kind: Kind) -> UnsafeMutableRawPointer {
        expect(kind)
        let header = BulkValues.lengthBytes(count)
        let place = next(1 + header + count)
        place.storeBytes(of: 0, as: UInt8.self)
        BulkValues.write(length: count, to: place + 1)
        return place + 1 + header
    }

    /// Makes room for a value and moves on to the next column.
    private func next(_ size: Int) -> UnsafeMutableRawPointer {
        if used + size > capacity { grow(size) }
        let place = memory + used
        used += size
        column += 1
        if column == width {
            ends.append(used)
            column = 0
        }
        return place
    }

    private func grow(_ size: Int) {
        capacity = max(2 * capacity, used + size)
        let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 8)
        larger.copyMemory(from: memory, byteCount: used)
        memory.deallocate()
        memory = larger
    }

    private func expect(_ kind: Kind) {
        if kinds[column] != kind { note(kind) }
    }

    /// A column with values of two kinds ends a run: what was there before this row is one of its own.
    private func note(_ kind: Kind) {
        if kinds[column] != .unknown {
            let start = earlier.last?.rows.upperBound ?? 0
            earlier.append(Run(rows: start..<count, kinds: kinds))
            for later in column..<width { kinds[later] = .unknown }
        }
        kinds[column] = kind
    }

    // MARK: Reading

    /// All rows, in order.
    package var runs: [Run] {
        precondition(column == 0, "every row has \(width) values")
        let start = earlier.last?.rows.upperBound ?? 0
        return start < count ? earlier + [Run(rows: start..<count, kinds: kinds)] : earlier
    }

    /// The bytes of rows, as long as nothing is appended and somebody holds on to this.
    package func bytes(of rows: Range<Int>) -> UnsafeRawBufferPointer {
        let (start, end) = (end(rows.lowerBound), end(rows.upperBound))
        return UnsafeRawBufferPointer(start: memory + start, count: end - start)
    }

    /// How many bytes a row has.
    package func size(of row: Int) -> Int { end(row + 1) - end(row) }

    /// Of the rows before `row`.
    private func end(_ row: Int) -> Int { row == 0 ? 0 : ends[row - 1] }

    /// All rows, made anew as values.
    public var values: [SQLValue] { runs.flatMap { run in run.rows.flatMap { values(of: $0, in: run) } } }

    /// One row of a run, made anew as values.
    private func values(of row: Int, in run: Run) -> [SQLValue] {
        var values = BulkValues(bytes(of: row..<row + 1))
        return run.kinds.map { kind in
            if values.nextIsNull() { return .null }
            switch kind {
            case .integer: return .integer(values.integer())
            case .double: return .double(values.double())
            case .text: return .text(String(decoding: values.bytes(), as: UTF8.self))
            case .blob: return .blob(ByteBuffer(bytes: values.bytes()))
            case .unknown: preconditionFailure("a value has a kind")
            }
        }
    }
}
