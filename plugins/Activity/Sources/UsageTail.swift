import Glibc
import NIOCore
import OpenAIWire
import Synchronization

/// The last bytes of an answer, kept to read the provider's token counts from them.
///
/// Providers send `usage` behind everything else, in JSON as in an event stream, so it is found in the last few
/// kilobytes without parsing what came before. A `"usage"` inside a text has its quotes escaped and is not mistaken.
final class UsageTail: Sendable {
    /// Bytes that are looked at. A usage object with all its details has some 500.
    static let capacity = 4 << 10

    private let kept = Mutex(ByteBuffer())

    /// Takes note of the next piece of the body.
    func append(_ chunk: ByteBuffer) {
        kept.withLock { kept in
            if chunk.readableBytes >= Self.capacity {
                kept = chunk.getSlice(at: chunk.writerIndex - Self.capacity, length: Self.capacity) ?? kept
                return
            }
            // Twice the capacity before anything moves: one move for many small chunks.
            if kept.readableBytes + chunk.readableBytes > 2 * Self.capacity {
                kept.moveReaderIndex(to: kept.writerIndex - min(Self.capacity, kept.readableBytes))
                kept.discardReadBytes()
            }
            kept.writeImmutableBuffer(chunk)
        }
    }

    /// What the provider counted, if it said so.
    var usage: Usage? {
        let bytes = kept.withLock { $0 }
        return bytes.withUnsafeReadableBytes { bytes in
            guard let start = Self.lastUsage(in: bytes), let end = Self.end(ofObjectAt: start, in: bytes) else {
                return nil
            }
            return Usage(scanning: UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
        }
    }

    /// Where the value of the last `"usage"` that is an object begins.
    private static func lastUsage(in bytes: UnsafeRawBufferPointer) -> Int? {
        let key: StaticString = "\"usage\""
        let length = key.utf8CodeUnitCount
        var end = bytes.count - length
        while end >= 0, let start = lastQuote(in: bytes, upTo: end) {
            end = start - 1
            guard start == 0 || bytes[start - 1] != UInt8(ascii: "\\"),
                memcmp(bytes.baseAddress! + start, key.utf8Start, length) == 0
            else { continue }
            var at = start + length
            while at < bytes.count, bytes[at] == UInt8(ascii: ":") || bytes[at] <= UInt8(ascii: " ") { at += 1 }
            if at < bytes.count, bytes[at] == UInt8(ascii: "{") { return at }
        }
        return nil
    }

    /// The last quotation mark that stands at `end` or before.
    private static func lastQuote(in bytes: UnsafeRawBufferPointer, upTo end: Int) -> Int? {
        var at = end
        while at >= 0, bytes[at] != UInt8(ascii: "\"") { at -= 1 }
        return at >= 0 ? at : nil
    }

    /// Behind the brace that closes the object. Names and numbers only: a usage object has no texts with braces.
    private static func end(ofObjectAt start: Int, in bytes: UnsafeRawBufferPointer) -> Int? {
        var depth = 0
        for at in start..<bytes.count {
            if bytes[at] == UInt8(ascii: "{") { depth += 1 }
            if bytes[at] == UInt8(ascii: "}") { depth -= 1 }
            if depth == 0 { return at + 1 }
        }
        return nil
    }
}
