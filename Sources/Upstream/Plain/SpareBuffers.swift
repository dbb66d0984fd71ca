import NIOCore

/// Memory that was written in and is not needed any more, for what is written next.
///
/// A request with its body takes about two kilobytes: beyond malloc's quick lists, and its coming and going made every
/// other allocation slower.
struct SpareBuffers {
    private static let maximumCount = 64
    private static let maximumCapacity = 4 << 10

    private var buffers: [ByteBuffer] = []

    /// Keeps `buffer`, unless it is large or there are enough.
    mutating func give(_ buffer: consuming ByteBuffer) {
        guard buffer.capacity > 0, buffer.capacity <= Self.maximumCapacity, buffers.count < Self.maximumCount else {
            return
        }
        buffers.append(buffer)
    }

    /// One that is to be cleared before use, or an empty one.
    mutating func take() -> ByteBuffer { buffers.popLast() ?? ByteBuffer() }
}
