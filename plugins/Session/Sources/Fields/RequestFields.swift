import NIOCore
import NIOHTTP1
import OpenAIWire
import TurnpikeKit

/// A field of a body: not there, `null`, or a value.
enum Given<Value> {
    case missing
    case null
    case value(Value)

    /// The value, where there is one.
    var value: Value? {
        if case .value(let value) = self { value } else { nil }
    }

    /// What `current` becomes: it stays where the field is missing, and is cleared by `null`.
    func apply(to current: inout Value?) {
        switch self {
        case .missing: break
        case .null: current = nil
        case .value(let value): current = value
        }
    }

    /// The same for what always has a value.
    func apply(to current: inout Value, clearedBy empty: Value) {
        switch self {
        case .missing: break
        case .null: current = empty
        case .value(let value): current = value
        }
    }
}

/// A JSON body, read field by field; what is of another type is a 400 that names it.
struct RequestFields: Sendable {
    let object: JSONObject

    /// An empty body is an empty object.
    init(_ bytes: ByteBuffer) throws(GatewayError) {
        guard bytes.readableBytes > 0 else {
            self.object = try GatewayError.blamingClient { () throws(WireError) in
                try JSONObject(scanning: ByteBuffer(string: "{}"))
            }
            return
        }
        self.object = try GatewayError.blamingClient { () throws(WireError) in
            try JSON.validate(bytes)
            return try JSONObject(scanning: bytes)
        }
    }

    init(_ object: JSONObject) { self.object = object }

    /// The first of several names for the same thing that is there, and the name.
    private func first(_ names: [String]) -> (name: String, value: JSONValue)? {
        for name in names {
            if let value = object[name] { return (name, value) }
        }
        return nil
    }

    private func read<Value>(
        _ names: [String], _ expected: String, _ read: (JSONValue) -> Value?
    ) throws(GatewayError) -> Given<Value> {
        guard let (name, value) = first(names) else { return .missing }
        if value.isNull { return .null }
        guard let result = read(value) else { throw GatewayError(wire: .wrongType(name, expected: expected)) }
        return .value(result)
    }

    func text(_ names: String...) throws(GatewayError) -> Given<String> {
        try read(names, "a string") { $0.string }
    }

    func int(_ names: String..., in range: ClosedRange<Int>) throws(GatewayError) -> Given<Int> {
        try read(names, "an integer from \(range.lowerBound) to \(range.upperBound)") { value in
            value.int.flatMap { range.contains($0) ? $0 : nil }
        }
    }

    func bool(_ names: String...) throws(GatewayError) -> Given<Bool> {
        try read(names, "a boolean") { $0.bool }
    }

    func texts(_ names: String...) throws(GatewayError) -> Given<[String]> {
        try read(names, "an array of strings") { value in
            guard let elements = (try? value.array()) ?? nil else { return nil }
            let texts = elements.compactMap(\.string)
            return texts.count == elements.count ? texts : nil
        }
    }

    /// The bytes of an object, as it came.
    func object(_ names: String...) throws(GatewayError) -> Given<ByteBuffer> {
        try read(names, "an object") { $0.kind == .object ? ByteBuffer(bytes: Array($0.bytes.readableBytesView)) : nil }
    }

    /// The bytes of an array, as it came.
    func array(_ names: String...) throws(GatewayError) -> Given<ByteBuffer> {
        try read(names, "an array") { $0.kind == .array ? ByteBuffer(bytes: Array($0.bytes.readableBytesView)) : nil }
    }

    /// The elements of an array.
    func elements(_ name: String) throws(GatewayError) -> [JSONValue]? {
        try read([name], "an array") { (try? $0.array()) ?? nil }.value
    }
}

extension RequestHead {
    /// A whole number in the query.
    func number(_ name: String, default fallback: Int, in range: ClosedRange<Int>) throws(GatewayError) -> Int {
        try number(name, in: range) ?? fallback
    }

    func number(_ name: String, in range: ClosedRange<Int>) throws(GatewayError) -> Int? {
        guard let text = queryItem(name) else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw .badRequest(
                "invalid_value", "“\(name)” is a whole number from \(range.lowerBound) to \(range.upperBound).",
                param: name)
        }
        return number
    }

    /// One of a few words in the query.
    func word<Word: RawRepresentable & CaseIterable>(_ name: String, default fallback: Word) throws(GatewayError)
        -> Word
    where Word.RawValue == String {
        guard let text = queryItem(name) else { return fallback }
        guard let word = Word(rawValue: text) else {
            let known = Word.allCases.map(\.rawValue).joined(separator: ", ")
            throw .badRequest("invalid_value", "“\(name)” is one of \(known).", param: name)
        }
        return word
    }

    func flag(_ name: String) throws(GatewayError) -> Bool {
        try word(name, default: QueryFlag.false) == .true
    }
}

/// A boolean in a query.
private enum QueryFlag: String, CaseIterable {
    case `true`, `false`
}
