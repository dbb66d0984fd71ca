/// A 16-byte identifier: users, keys, sessions, turns, activity rows.
///
/// New ones are UUIDs of version 7 (RFC 9562), so that rows of one owner lie in the order of their creation. It is
/// stored as 16 raw bytes and printed in two forms, both of which are parsed everywhere: `uuidString`, and
/// `description(prefix: "sess_")`, the prefix and 32 hex digits.
public struct UniqueID: Hashable, Comparable, Sendable {
    /// The first eight bytes, as a big-endian number.
    package let high: UInt64
    /// The last eight bytes, as a big-endian number.
    package let low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Makes a new identifier: greater than every one that this process made before.
    public static func generate() -> UniqueID {
        UniqueIDGenerator.shared.next()
    }

    /// The random half is hash enough.
    public func hash(into hasher: inout Hasher) { hasher.combine(low) }

    /// Reads 16 raw bytes; nil if there are not exactly 16.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 16 else { return nil }
        var halves: (UInt64, UInt64) = (0, 0)
        for (index, byte) in bytes.enumerated() {
            if index < 8 { halves.0 = halves.0 << 8 | UInt64(byte) } else { halves.1 = halves.1 << 8 | UInt64(byte) }
        }
        self.init(high: halves.0, low: halves.1)
    }

    /// The 16 bytes as they are stored.
    public var bytes: [UInt8] {
        (0..<16).map { index in
            UInt8(truncatingIfNeeded: (index < 8 ? high : low) >> UInt64(56 - (index & 7) * 8))
        }
    }

    /// Byte order, which for identifiers of one process is the order of their creation.
    public static func < (left: UniqueID, right: UniqueID) -> Bool {
        (left.high, left.low) < (right.high, right.low)
    }
}

extension UniqueID: CustomStringConvertible {
    /// The canonical form, `0190a5c8-…`, in lower case.
    public var description: String { uuidString }

    /// The canonical form, `0190a5c8-…`, in lower case.
    public var uuidString: String {
        let digits = hexDigits
        var text: [UInt8] = []
        text.reserveCapacity(36)
        for (index, digit) in digits.enumerated() {
            if index == 8 || index == 12 || index == 16 || index == 20 { text.append(UInt8(ascii: "-")) }
            text.append(digit)
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// The prefix, such as `sess_`, and 32 hex digits in lower case.
    public func description(prefix: String) -> String {
        let count = prefix.utf8.count
        return String(unsafeUninitializedCapacity: count + 32) { target in
            _ = target.initialize(from: prefix.utf8)
            let digits = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(target)[count...])
            for index in 0..<4 {
                let half = (index < 2 ? high : low) >> (index % 2 == 0 ? 32 : 0)
                let text = Self.hexDigits(of: UInt32(truncatingIfNeeded: half)).bigEndian
                digits.storeBytes(of: text, toByteOffset: index * 8, as: UInt64.self)
            }
            return count + 32
        }
    }

    /// Parses the canonical UUID form, 32 hex digits, or those behind `prefix`; nil for anything else. Upper and lower case digits are the same.
    public init?(_ text: String, prefix: String? = nil) {
        // Most names are none: what is no id is seen by its length.
        let count = text.utf8.count
        guard count == 32 || count == 36 || count == 32 + (prefix?.utf8.count ?? 0) else { return nil }
        var digits = Substring(text)
        if let prefix, digits.hasPrefix(prefix) {
            digits = digits.dropFirst(prefix.count)
            guard digits.utf8.count == 32 else { return nil }
        }
        self.init(digits: Array(digits.utf8))
    }

    private init?(digits: [UInt8]) {
        guard digits.count == 32 || digits.count == 36 else { return nil }
        var halves: (UInt64, UInt64) = (0, 0)
        var count = 0
        for (index, character) in digits.enumerated() {
            if digits.count == 36, index == 8 || index == 13 || index == 18 || index == 23 {
                guard character == UInt8(ascii: "-") else { return nil }
                continue
            }
            guard let value = Character(Unicode.Scalar(character)).hexDigitValue, character < 0x80 else { return nil }
            if count < 16 {
                halves.0 = halves.0 << 4 | UInt64(value)
            } else {
                halves.1 = halves.1 << 4 | UInt64(value)
            }
            count += 1
        }
        self.init(high: halves.0, low: halves.1)
    }

    private var hexDigits: [UInt8] {
        (0..<32).map(hexDigit)
    }

    /// The eight digits of a number, the first one in the highest byte: made at once, since every exchange prints ids.
    private static func hexDigits(of number: UInt32) -> UInt64 {
        var digits = UInt64(number)
        digits = (digits << 16 | digits) & 0x0000_FFFF_0000_FFFF
        digits = (digits << 8 | digits) & 0x00FF_00FF_00FF_00FF
        digits = (digits << 4 | digits) & 0x0F0F_0F0F_0F0F_0F0F
        let letters = (digits &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
        return digits &+ 0x3030_3030_3030_3030 &+ letters &* 39
    }

    private func hexDigit(_ index: Int) -> UInt8 {
        let digit = UInt8(truncatingIfNeeded: (index < 16 ? high : low) >> UInt64(60 - (index & 15) * 4)) & 15
        return digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") - 10 + digit
    }
}
