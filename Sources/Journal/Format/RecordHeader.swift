import NIOCore
package import Persistence

/// What stands before the payload of a record in a segment: 40 bytes, little-endian.
///
///     0  magic "TPJR"   4  kind   8  payload's length   12  payload's CRC-32C
///     16 sequence       24 time (microseconds UTC)      32  CRC-32C of bytes 0..<32   36  zero
///
/// It has a checksum of its own: where only the payload is damaged, length and sequence can still be trusted, so that
/// exactly this record is skipped and its neighbours are kept.
package struct RecordHeader: Sendable, Equatable {
    package enum Kind: UInt32, Sendable {
        /// A payload that is kept until it is acknowledged.
        case record = 1
        /// Sequences that are done, eight bytes each.
        case acknowledgement = 2
        /// A record whose payload was overwritten after it was acknowledged.
        case erased = 3
        /// A record in the dead-letter directory: the reason, then the payload.
        case deadLetter = 4
    }

    package static let size = 40
    static let magic: UInt32 = 0x524A_5054

    package var kind: Kind
    package var length: Int
    package var checksum: UInt32
    package var sequence: UInt64
    package var time: Timestamp

    init(_ kind: Kind, _ sequence: UInt64, at time: Timestamp, payload: ByteBuffer) {
        self.kind = kind
        self.sequence = sequence
        self.time = time
        length = payload.readableBytes
        checksum = payload.withUnsafeReadableBytes { CRC32C.of($0) }
    }

    /// The header at the beginning of `bytes`; nil if there is no whole one.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= Self.size else { return nil }
        func word(_ offset: Int) -> UInt32 {
            UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        }
        func long(_ offset: Int) -> UInt64 {
            UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        guard word(0) == Self.magic, word(32) == CRC32C.of(UnsafeRawBufferPointer(rebasing: bytes[..<32])),
            let kind = Kind(rawValue: word(4))
        else { return nil }
        self.kind = kind
        length = Int(word(8))
        checksum = word(12)
        sequence = long(16)
        time = Timestamp(microseconds: Int64(bitPattern: long(24)))
    }

    func write(to buffer: inout ByteBuffer) {
        let start = buffer.writerIndex
        buffer.writeInteger(Self.magic, endianness: .little)
        buffer.writeInteger(kind.rawValue, endianness: .little)
        buffer.writeInteger(UInt32(length), endianness: .little)
        buffer.writeInteger(checksum, endianness: .little)
        buffer.writeInteger(sequence, endianness: .little)
        buffer.writeInteger(time.microseconds, endianness: .little)
        let own = buffer.withUnsafeReadableBytes { bytes in
            let base = start - buffer.readerIndex
            return CRC32C.of(UnsafeRawBufferPointer(rebasing: bytes[base..<base + 32]))
        }
        buffer.writeInteger(own, endianness: .little)
        buffer.writeInteger(UInt32(0), endianness: .little)
    }

    /// Whether `payload` is the one that the header was made for.
    func matches(_ payload: UnsafeRawBufferPointer) -> Bool {
        payload.count == length && CRC32C.of(payload) == checksum
    }
}

/// What stands at the beginning of every segment file: 16 bytes.
enum SegmentHeader {
    static let size = 16
    static let version: UInt32 = 1
    private static let magic = Array("TPJOURNL".utf8)

    static var bytes: ByteBuffer {
        var buffer = ByteBuffer(bytes: magic)
        buffer.writeInteger(version, endianness: .little)
        buffer.writeInteger(UInt32(0), endianness: .little)
        return buffer
    }

    enum Finding: Equatable {
        case good
        /// The file was being made when the process ended: nothing is in it.
        case unfinished
        case newer
        case damaged
    }

    static func check(_ bytes: UnsafeRawBufferPointer) -> Finding {
        guard bytes.count >= size else { return .unfinished }
        guard bytes[..<8].elementsEqual(magic) else {
            return bytes.allSatisfy { $0 == 0 } ? .unfinished : .damaged
        }
        let version = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        return version > Self.version ? .newer : .good
    }
}
