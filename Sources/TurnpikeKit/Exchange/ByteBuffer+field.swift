package import NIOCore

extension ByteBuffer {
    /// Adds a header's line. Name and value must have been checked: a line break in them would begin another header.
    ///
    /// One write for a whole line: four of them were a quarter of the cost of a head.
    package mutating func writeField(_ name: String, _ value: String) {
        // Where they lie: a copy to be made contiguous, which nearly all are, counts a reference of each.
        let isWritten: Void?? = name.utf8.withContiguousStorageIfAvailable { name in
            value.utf8.withContiguousStorageIfAvailable { value in
                writeBytes(UnsafeRawBufferPointer(name), UnsafeRawBufferPointer(value))
            }
        }
        guard case .some(.some) = isWritten else {
            return Array(name.utf8).withUnsafeBytes { name in
                Array(value.utf8).withUnsafeBytes { value in writeBytes(name, value) }
            }
        }
    }

    @inline(__always)
    private mutating func writeBytes(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        guard let bytes = OpaqueText.bytes(of: value) else { return writeLine(name, value) }
        bytes.withUnsafeBytes { writeLine(name, $0) }
    }

    /// A header without a value has no space either.
    @inline(__always)
    private mutating func writeLine(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        let start = name.count + (value.isEmpty ? 1 : 2)
        let end = start + value.count
        writeWithUnsafeMutableBytes(minimumWritableBytes: end + 2) { line in
            line[name.count + 1] = UInt8(ascii: " ")
            line[name.count] = UInt8(ascii: ":")
            UnsafeMutableRawBufferPointer(rebasing: line[..<name.count]).copyMemory(from: name)
            UnsafeMutableRawBufferPointer(rebasing: line[start..<end]).copyMemory(from: value)
            line[end] = UInt8(ascii: "\r")
            line[end + 1] = UInt8(ascii: "\n")
            return end + 2
        }
    }
}
