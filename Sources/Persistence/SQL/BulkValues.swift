/// Reads the values of `BulkRows` one after the other: first whether there is one, then the one that is there.
///
/// Lengths are written as MariaDB's protocol has them: in one byte up to 250, else behind a byte that says in how many.
package struct BulkValues {
    private var place: UnsafeRawPointer?

    /// - Parameter bytes: Rows of a run; they are there as long as this is used.
    package init(_ bytes: UnsafeRawBufferPointer) { place = bytes.baseAddress }

    /// Whether the next value is NULL; if not it is to be read next.
    package mutating func nextIsNull() -> Bool { take(1).load(as: UInt8.self) != 0 }

    package mutating func integer() -> Int64 { Int64(bitPattern: number(8)) }

    package mutating func double() -> Double { Double(bitPattern: number(8)) }

    /// Text or a blob, where it lies.
    package mutating func bytes() -> UnsafeRawBufferPointer {
        let first = take(1).load(as: UInt8.self)
        let count =
            switch first {
            case 0xFC: Int(number(2))
            case 0xFD: Int(number(3))
            case 0xFE: Int(number(8))
            default: Int(first)
            }
        return UnsafeRawBufferPointer(start: take(count), count: count)
    }

    private mutating func number(_ count: Int) -> UInt64 {
        let start = take(count)
        if count == 8 { return UInt64(littleEndian: start.loadUnaligned(as: UInt64.self)) }
        return (0..<count).reduce(0) { $0 | UInt64(start.load(fromByteOffset: $1, as: UInt8.self)) << UInt64(8 * $1) }
    }

    private mutating func take(_ count: Int) -> UnsafeRawPointer {
        // Rows that are there have an address.
        let start = place.unsafelyUnwrapped
        place = start + count
        return start
    }

    /// How many bytes a length takes.
    static func lengthBytes(_ length: Int) -> Int {
        switch length {
        case ...250: 1
        case ..<(1 << 16): 3
        case ..<(1 << 24): 4
        default: 9
        }
    }

    static func write(length: Int, to place: UnsafeMutableRawPointer) {
        let count = lengthBytes(length) - 1
        guard count > 0 else { return place.storeBytes(of: UInt8(length), as: UInt8.self) }
        place.storeBytes(of: count == 2 ? 0xFC : count == 3 ? 0xFD : 0xFE, as: UInt8.self)
        for index in 0..<count {
            place.storeBytes(
                of: UInt8(truncatingIfNeeded: length >> (8 * index)), toByteOffset: 1 + index, as: UInt8.self)
        }
    }
}
