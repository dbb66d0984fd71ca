import NIOHTTP1
import TurnpikeKit

/// A key as a request presents it: well formed, of unknown worth. It prints as `<key>`.
struct PresentedKey: Sendable {
    let fingerprint: Fingerprint
    private let header: Secret
    private let offset: Int

    /// Reads the `Authorization` header; the scheme is `Bearer` in any case of letters (RFC 6750, RFC 9110).
    ///
    /// Only what has the form of our keys gets through, so garbage of any size costs neither a hash nor a lookup.
    /// Throws a ``GatewayError`` with status 401 otherwise.
    init(_ headers: HTTPHeaders) throws {
        var found: String?
        for (name, value) in headers where name.equalsIgnoringCase("authorization") {
            guard found == nil else { throw GatewayError.severalKeys }
            found = value
        }
        guard var value = found else { throw GatewayError.missingKey }
        (offset, fingerprint) = try value.withUTF8 { bytes in
            guard let offset = Self.tokenOffset(in: bytes) else { throw GatewayError.missingKey }
            let token = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[offset...])
            guard APIKey.isWellFormed(token) else { throw GatewayError.invalidKey }
            return (offset, Fingerprint(of: token))
        }
        header = Secret(value)
    }

    /// The key's bytes, inside the closure only.
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        var value = header.reveal()
        return value.withUTF8 { body(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer($0)[offset...])) }
    }

    /// Where the token begins behind `Bearer` and spaces; nil for another scheme, or none.
    private static func tokenOffset(in bytes: UnsafeBufferPointer<UInt8>) -> Int? {
        let scheme: StaticString = "bearer "
        let length = scheme.utf8CodeUnitCount
        guard bytes.count > length else { return nil }
        for index in 0..<length where bytes[index] | 0x20 != scheme.utf8Start[index] { return nil }
        return bytes[length...].firstIndex { $0 != UInt8(ascii: " ") }
    }
}

extension PresentedKey: CustomStringConvertible, CustomReflectable {
    var description: String { "<key>" }
    var customMirror: Mirror { Mirror(self, children: []) }
}
