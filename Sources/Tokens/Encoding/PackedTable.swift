/// The sections of a file that scripts/pack-tokens has written, in the program's read-only data.
struct PackedTable {
    private static let magic: UInt32 = 0x4B54_5054
    private static let version: UInt32 = 4
    private static let alignment = 64

    private let bytes: UnsafeRawPointer
    private let end: Int
    private var offset: Int
    /// The numbers of the header behind the version.
    let counts: [Int]

    init(_ bytes: UnsafeRawPointer?, count: Int, counts countOfCounts: Int) {
        guard let bytes, count >= 4 * (2 + countOfCounts) else { preconditionFailure(Self.damaged) }
        let header = bytes.assumingMemoryBound(to: UInt32.self)
        precondition(header[0] == Self.magic && header[1] == Self.version, Self.damaged)
        self.bytes = bytes
        end = count
        offset = 4 * (2 + countOfCounts)
        counts = (0..<countOfCounts).map { Int(header[2 + $0]) }
    }

    /// The next section, of `count` numbers or of groups of them.
    mutating func section<Number: BitwiseCopyable>(_ type: Number.Type, count: Int) -> UnsafePointer<Number> {
        offset = (offset + Self.alignment - 1) / Self.alignment * Self.alignment
        let start = bytes + offset
        offset += count * MemoryLayout<Number>.stride
        precondition(offset <= end, Self.damaged)
        return start.assumingMemoryBound(to: type)
    }

    private static let damaged = "The tables are those that scripts/pack-tokens has written for this version."
}
