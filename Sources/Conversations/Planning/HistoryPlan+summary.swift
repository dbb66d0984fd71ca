extension HistoryPlan {
    /// The response header that carries `summary`.
    package static let headerName = "x-turnpike-history"

    /// What the client is told: how much of the history the model sees, and why.
    package var summary: String {
        String(unsafeUninitializedCapacity: SummaryWriter.capacity) { target in
            var text = SummaryWriter(target)
            text.append("injected=", injectedCount)
            text.append("; dropped=", droppedCount)
            if supersededCount > 0 { text.append("; superseded=", supersededCount) }
            if repeatsLastTurn { text.append("; retry=", 1) }
            if let tokens { text.append("; tokens=", tokens) }
            if let budget { text.append("; budget=", budget) }
            if isPartial { text.append("; partial=", 1) }
            text.append("; reason=")
            text.append(reason.rawValue)
            return text.count
        }
    }
}

/// Every answer of a session has a summary: arrays and strings that are appended to cost several times as much.
private struct SummaryWriter {
    /// Seven names and numbers, and a reason.
    static let capacity = 320

    private let target: UnsafeMutableBufferPointer<UInt8>
    private(set) var count = 0

    /// - Parameter target: `capacity` bytes.
    init(_ target: UnsafeMutableBufferPointer<UInt8>) { self.target = target }

    mutating func append(_ name: StaticString) {
        append(UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
    }

    mutating func append(_ text: String) {
        var text = text
        text.withUTF8 { append($0) }
    }

    mutating func append(_ name: StaticString, _ value: Int) {
        append(name)
        if value < 0 { append(UInt8(ascii: "-")) }
        var power: UInt = 1
        while value.magnitude / power >= 10 { power *= 10 }
        while power > 0 {
            append(UInt8(ascii: "0") + UInt8(value.magnitude / power % 10))
            power /= 10
        }
    }

    private mutating func append(_ bytes: UnsafeBufferPointer<UInt8>) {
        precondition(bytes.count <= target.count - count, "A summary is shorter than the room for it.")
        _ = UnsafeMutableBufferPointer(rebasing: target[count...]).initialize(from: bytes)
        count += bytes.count
    }

    private mutating func append(_ byte: UInt8) {
        target.initializeElement(at: count, to: byte)
        count += 1
    }
}
