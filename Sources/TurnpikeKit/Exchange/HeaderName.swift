/// Comparing header names, which are ASCII in any case of letters (RFC 9110, section 5.1), without a copy.
extension String {
    /// Whether this is `lowercase`, whatever the case of its letters. `lowercase` has no capitals.
    public func equalsIgnoringCase(_ lowercase: StaticString) -> Bool {
        utf8.count == lowercase.utf8CodeUnitCount && hasPrefixIgnoringCase(lowercase)
    }

    /// Whether this begins with `lowercase`, whatever the case of its letters.
    public func hasPrefixIgnoringCase(_ lowercase: StaticString) -> Bool {
        let count = lowercase.utf8CodeUnitCount
        guard utf8.count >= count else { return false }
        let wanted = lowercase.utf8Start
        let isEqual = utf8.withContiguousStorageIfAvailable { bytes in
            for index in 0..<count where Self.lowered(bytes[index]) != wanted[index] { return false }
            return true
        }
        // Only strings that were bridged from elsewhere are not contiguous.
        return isEqual
            ?? zip(utf8, UnsafeBufferPointer(start: wanted, count: count)).allSatisfy { Self.lowered($0) == $1 }
    }

    private static func lowered(_ byte: UInt8) -> UInt8 {
        byte &- UInt8(ascii: "A") < 26 ? byte | 0x20 : byte
    }
}
