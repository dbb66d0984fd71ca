extension HistoryPlan {
    /// The response header that carries `summary`.
    package static let headerName = "x-turnpike-history"

    /// What the client is told: how much of the history the model sees, and why.
    package var summary: String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(128)
        bytes.append("injected=", injectedCount)
        bytes.append("; dropped=", droppedCount)
        if supersededCount > 0 { bytes.append("; superseded=", supersededCount) }
        if repeatsLastTurn { bytes.append("; retry=", 1) }
        if let tokens { bytes.append("; tokens=", tokens) }
        if let budget { bytes.append("; budget=", budget) }
        if isPartial { bytes.append("; partial=", 1) }
        bytes.append("; reason=")
        bytes += reason.rawValue.utf8
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Every answer of a session has a summary: strings that are appended to cost several times as much.
extension [UInt8] {
    fileprivate mutating func append(_ name: StaticString) {
        append(contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
    }

    fileprivate mutating func append(_ name: StaticString, _ value: Int) {
        append(name)
        if value < 0 { append(UInt8(ascii: "-")) }
        let start = count
        var rest = value.magnitude
        repeat {
            append(UInt8(ascii: "0") + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        self[start...].reverse()
    }
}
