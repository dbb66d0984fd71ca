import Glibc
package import NIOCore

/// What a segment file holds, found by reading it from its beginning: pure, no I/O.
///
/// A record counts when header and payload have the right checksums. Where they have not, the scan goes on at the next
/// header that is whole, and says which bytes it skipped. What follows the last whole record is the tail: the rest of a
/// write that was cut off by the end of the process.
package struct SegmentScan: Sendable, Equatable {
    package struct Item: Sendable, Equatable {
        package var header: RecordHeader
        /// Where the header begins in the file.
        package var offset: Int

        package var payload: Range<Int> { offset + RecordHeader.size..<end }
        package var end: Int { offset + RecordHeader.size + header.length }
    }

    package struct Damage: Sendable, Equatable {
        package var range: Range<Int>
        /// Nil where not even the header can be read.
        package var sequence: UInt64?
        package var kind: RecordHeader.Kind?
    }

    package private(set) var items: [Item] = []
    package private(set) var damages: [Damage] = []
    /// Where whole records end; behind it stands the tail.
    package private(set) var end: Int
    package let size: Int

    package var hasTail: Bool { end < size }

    /// - Parameter bytes: The whole file, its own header included.
    package init(_ bytes: ByteBuffer) {
        size = bytes.readableBytes
        end = min(SegmentHeader.size, size)
        bytes.withUnsafeReadableBytes { read($0) }
    }

    private mutating func read(_ bytes: UnsafeRawBufferPointer) {
        while end < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[end...])
            if let header = RecordHeader(rest) {
                guard take(header, rest) else { return }
            } else {
                guard let next = Self.nextHeader(in: rest) else { return }
                damages.append(Damage(range: end..<end + next))
                end += next
            }
        }
    }

    /// False where the record is longer than the file.
    private mutating func take(_ header: RecordHeader, _ rest: UnsafeRawBufferPointer) -> Bool {
        let item = Item(header: header, offset: end)
        guard RecordHeader.size + header.length <= rest.count else { return false }
        let payload = UnsafeRawBufferPointer(rebasing: rest[RecordHeader.size..<RecordHeader.size + header.length])
        if header.matches(payload) {
            items.append(item)
        } else {
            damages.append(Damage(range: item.offset..<item.end, sequence: header.sequence, kind: header.kind))
        }
        end = item.end
        return true
    }

    /// The offset of the next whole header behind the first byte.
    private static func nextHeader(in bytes: UnsafeRawBufferPointer) -> Int? {
        guard let base = bytes.baseAddress else { return nil }
        let first = Int32(RecordHeader.magic & 0xFF)
        var offset = 1
        while offset + RecordHeader.size <= bytes.count {
            guard let found = memchr(base + offset, first, bytes.count - offset) else { return nil }
            offset = found - UnsafeMutableRawPointer(mutating: base)
            if RecordHeader(UnsafeRawBufferPointer(rebasing: bytes[offset...])) != nil { return offset }
            offset += 1
        }
        return nil
    }
}
