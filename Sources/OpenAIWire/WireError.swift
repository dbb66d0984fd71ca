/// What is wrong with bytes that came from outside.
///
/// The same bytes may be the client's request or the upstream's answer, so the error does not say whose fault it
/// is: the caller knows. Its description names positions and expectations only, never content, and may be shown.
public struct WireError: Error, Sendable, Hashable {
    private enum Code: Hashable {
        case malformed(expected: String, position: Int)
        case tooDeep(limit: Int)
        case tooLarge(what: String, limit: Int)
        case missing
        case wrongType(expected: String)
    }

    private let code: Code

    /// The parameter that is wrong, as OpenAI's envelope names it (`messages[2].role`); nil where the text as a whole is.
    public let param: String?

    private init(_ code: Code, param: String? = nil) {
        self.code = code
        self.param = param
    }

    /// The text breaks its grammar at `position`, a byte offset from the start of the text that was read.
    static func malformed(expected: String, at position: Int) -> WireError {
        WireError(.malformed(expected: expected, position: position))
    }

    /// Objects and arrays are nested deeper than `limit`.
    static func tooDeep(limit: Int) -> WireError {
        WireError(.tooDeep(limit: limit))
    }

    /// There is more of `what` than the bound that was set for it.
    static func tooLarge(_ what: String, limit: Int) -> WireError {
        WireError(.tooLarge(what: what, limit: limit))
    }

    /// A parameter that must be there is not.
    public static func missing(_ param: String) -> WireError {
        WireError(.missing, param: param)
    }

    /// A parameter has another JSON type, or range, than it must have; `expected` reads like "a string".
    public static func wrongType(_ param: String, expected: String) -> WireError {
        WireError(.wrongType(expected: expected), param: param)
    }

    /// The same error with `param` named where it had none: an error inside a nested value, told at its place.
    public func inside(_ param: String) -> WireError {
        WireError(code, param: self.param ?? param)
    }

    /// Whether a bound was exceeded, in bytes, elements or depth, rather than the grammar broken.
    public var exceedsLimit: Bool {
        switch code {
        case .tooDeep, .tooLarge: true
        case .malformed, .missing, .wrongType: false
        }
    }

    /// Whether a parameter that must be there is not, rather than there and wrong.
    public var isMissing: Bool { code == .missing }

    /// The byte offset at which the grammar is broken, within the text that was read.
    public var position: Int? {
        switch code {
        case .malformed(_, let position): position
        case .tooDeep, .tooLarge, .missing, .wrongType: nil
        }
    }
}

extension WireError: CustomStringConvertible {
    /// A sentence that may be shown to a client.
    public var description: String {
        let place = param.map { "'\($0)': " } ?? ""
        switch code {
        case .malformed(let expected, let position):
            return "\(place)invalid JSON at byte \(position): expected \(expected)."
        case .tooDeep(let limit):
            return "\(place)JSON is nested deeper than \(limit) levels."
        case .tooLarge(let what, let limit):
            return "\(place)more than \(limit) \(what)."
        case .missing:
            return "Missing required parameter: '\(param ?? "")'."
        case .wrongType(let expected):
            return "Invalid value for '\(param ?? "")': expected \(expected)."
        }
    }
}
