public import NIOCore

/// One change to the members of an object, applied by `JSONObject.edited`.
///
/// Values are JSON texts and are trusted: what comes from outside has been validated before.
public struct JSONEdit: Sendable {
    enum Action {
        case replace(JSONFragment)
        case set(JSONFragment)
        case insert(JSONFragment)
        case remove
    }

    /// The member that it is about.
    public let key: String
    let action: Action

    /// Changes the value where the key is there, and does nothing where it is not.
    public static func replace(_ key: String, _ value: ByteBuffer) -> JSONEdit {
        JSONEdit(key: key, action: .replace(.text(value)))
    }

    /// Changes the value where the key is there, and appends it where it is not.
    public static func set(_ key: String, _ value: ByteBuffer) -> JSONEdit {
        JSONEdit(key: key, action: .set(.text(value)))
    }

    /// Like `set`, with an array of `elements` that are joined while they are spliced in, without a copy in between.
    public static func set(_ key: String, elements: [ByteBuffer]) -> JSONEdit {
        JSONEdit(key: key, action: .set(.array(elements)))
    }

    /// Appends the member where the key is missing, and does nothing where it is there.
    public static func insert(_ key: String, _ value: ByteBuffer) -> JSONEdit {
        JSONEdit(key: key, action: .insert(.text(value)))
    }

    /// Removes every member of that key.
    public static func remove(_ key: String) -> JSONEdit {
        JSONEdit(key: key, action: .remove)
    }
}

/// A value to be spliced in.
enum JSONFragment {
    case text(ByteBuffer)
    case array([ByteBuffer])

    /// Bytes that it takes, commas and brackets included.
    var count: Int {
        switch self {
        case .text(let text): text.readableBytes
        case .array(let elements): elements.reduce(2) { $0 + $1.readableBytes + 1 }
        }
    }

    func write(to buffer: inout ByteBuffer) {
        switch self {
        case .text(let text): buffer.writeImmutableBuffer(text)
        case .array(let elements): JSONArray.append(elements, to: &buffer)
        }
    }
}
