import Glibc

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
            // Most names that are compared differ, and nearly all of those in their first or last letter.
            guard count > 0, Self.lowered(bytes[count - 1]) == wanted[count - 1] else { return count == 0 }
            for index in 0..<count where Self.lowered(bytes[index]) != wanted[index] { return false }
            return true
        }
        // Only strings that were bridged from elsewhere are not contiguous.
        return isEqual
            ?? zip(utf8, UnsafeBufferPointer(start: wanted, count: count)).allSatisfy { Self.lowered($0) == $1 }
    }

    /// Whether this ends with `lowercase`, whatever the case of its letters.
    public func hasSuffixIgnoringCase(_ lowercase: StaticString) -> Bool {
        let wanted = UnsafeBufferPointer(start: lowercase.utf8Start, count: lowercase.utf8CodeUnitCount)
        guard utf8.count >= wanted.count else { return false }
        return zip(utf8.suffix(wanted.count), wanted).allSatisfy { Self.lowered($0) == $1 }
    }

    /// Whether `isAllowed` holds for each byte of the UTF-8. Looks at all of them: without a way out of the loop several
    /// are compared at once, and what is asked of headers holds nearly always.
    @inline(__always) package func allBytes(are isAllowed: (UInt8) -> Bool) -> Bool {
        utf8.withContiguousStorageIfAvailable { bytes in
            var areAllowed = true
            for byte in bytes { areAllowed = isAllowed(byte) && areAllowed }
            return areAllowed
        } ?? utf8.allSatisfy(isAllowed)
    }

    /// Whether this may be the value of a field: a line break would begin another field, or another message
    /// (RFC 9110, section 5.5).
    package var isFieldValue: Bool {
        utf8.withContiguousStorageIfAvailable { bytes in
            guard let start = bytes.baseAddress else { return true }
            let count = bytes.count
            return memchr(start, 13, count) == nil && memchr(start, 10, count) == nil && memchr(start, 0, count) == nil
        } ?? utf8.allSatisfy { $0 != 13 && $0 != 10 && $0 != 0 }
    }

    /// Whether a field of this name is about one connection or the framing on it, and so never passed on (RFC 9110,
    /// section 7.6.1).
    package var isFieldOfConnection: Bool {
        switch utf8.count {
        case 2: equalsIgnoringCase("te")
        case 7: equalsIgnoringCase("trailer") || equalsIgnoringCase("upgrade")
        case 10: equalsIgnoringCase("connection") || equalsIgnoringCase("keep-alive")
        case 16: equalsIgnoringCase("proxy-connection")
        case 17: equalsIgnoringCase("transfer-encoding")
        default: false
        }
    }

    private static func lowered(_ byte: UInt8) -> UInt8 {
        byte &- UInt8(ascii: "A") < 26 ? byte | 0x20 : byte
    }
}

extension Substring {
    /// Whether these are the bytes of `text`. By bytes, for what every request asks: the views of a substring are walked
    /// index by index.
    package func hasBytes(of text: StaticString) -> Bool {
        var copy = self
        return copy.withUTF8 { bytes in
            guard bytes.count == text.utf8CodeUnitCount, let start = bytes.baseAddress else {
                return bytes.isEmpty && text.utf8CodeUnitCount == 0
            }
            return memcmp(start, text.utf8Start, bytes.count) == 0
        }
    }
}
