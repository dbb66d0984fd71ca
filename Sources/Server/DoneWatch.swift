import NIOCore

/// Notices `data: [DONE]`, the event that ends a stream of OpenAI's, in a body that nobody parses.
///
/// It costs a look at a chunk's last bytes, so it sees the event only where a chunk ends with it, as upstreams write it.
/// Where it is missed, the answer ends with the upstream's body.
struct DoneWatch {
    private static let endings = ["data: [DONE]\n\n", "data: [DONE]\r\n\r\n"].map { Array($0.utf8) }

    /// Whether the next chunk begins a line.
    private var isAtLineStart = true

    /// Whether `chunk`, the next one, ends the stream.
    mutating func ends(with chunk: ByteBuffer) -> Bool {
        chunk.withUnsafeReadableBytes { bytes in
            defer { isAtLineStart = bytes.last.map { $0 == UInt8(ascii: "\n") } ?? isAtLineStart }
            return Self.endings.contains { ending in
                guard bytes.count >= ending.count, bytes.suffix(ending.count).elementsEqual(ending) else {
                    return false
                }
                let start = bytes.count - ending.count
                return start == 0 ? isAtLineStart : bytes[start - 1] == UInt8(ascii: "\n")
            }
        }
    }
}
