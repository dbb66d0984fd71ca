/// Whether bytes are UTF-8 (Unicode 17, table 3-7), eight at a time where they are ASCII.
enum UTF8Validation {
    private static let highBits: UInt64 = 0x8080_8080_8080_8080

    static func isValid(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let base = bytes.baseAddress else { return true }
        let raw = UnsafeRawPointer(base)
        let count = bytes.count
        var offset = 0
        while offset < count {
            if offset &+ 8 <= count, raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self) & highBits == 0 {
                offset &+= 8
            } else if base[offset] < 0x80 {
                offset &+= 1
            } else {
                let length = sequence(base + offset, count &- offset)
                if length == 0 { return false }
                offset &+= length
            }
        }
        return true
    }

    /// The length of the well-formed sequence of several bytes that begins here; 0 where there is none.
    @inline(__always) private static func sequence(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> Int {
        @inline(__always) func follows(_ index: Int) -> Bool { index < count && bytes[index] & 0xC0 == 0x80 }
        let first = bytes[0]
        switch first {
        case 0xC2...0xDF:
            return follows(1) ? 2 : 0
        case 0xE0...0xEF:
            guard follows(1), follows(2) else { return 0 }
            if first == 0xE0, bytes[1] < 0xA0 { return 0 }
            if first == 0xED, bytes[1] > 0x9F { return 0 }
            return 3
        case 0xF0...0xF4:
            guard follows(1), follows(2), follows(3) else { return 0 }
            if first == 0xF0, bytes[1] < 0x90 { return 0 }
            if first == 0xF4, bytes[1] > 0x8F { return 0 }
            return 4
        default:
            return 0
        }
    }
}
