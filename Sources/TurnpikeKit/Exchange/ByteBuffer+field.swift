package import NIOCore

extension ByteBuffer {
    /// Adds a header's line. Name and value must have been checked: a line break in them would begin another header.
    ///
    /// One write for a whole line: four of them were a quarter of the cost of a head.
    package mutating func writeField(_ name: String, _ value: String) {
        var name = name
        var value = value
        if let bytes = OpaqueText.bytes(of: value) {
            name.withUTF8 { name in bytes.withUnsafeBytes { writeLine(UnsafeRawBufferPointer(name), $0) } }
        } else {
            name.withUTF8 { name in
                value.withUTF8 { writeLine(UnsafeRawBufferPointer(name), UnsafeRawBufferPointer($0)) }
            }
        }
    }

    /// A header without a value has no space either.
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
