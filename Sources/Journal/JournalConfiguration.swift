/// Where a journal lies and how large it may grow.
package struct JournalConfiguration: Sendable {
    /// Belongs to one process at a time.
    package var directory: String
    /// The most bytes of records on the disk and promised to come.
    package var maxBytes: Int
    /// When the next file is begun. A record is never split, so a file may be larger by one record.
    package var segmentBytes = 16 << 20

    package init(directory: String, maxBytes: Int) {
        self.directory = directory
        self.maxBytes = maxBytes
    }

    var lockPath: String { "\(directory)/lock" }
    var deadLetterDirectory: String { "\(directory)/dead" }

    func segmentPath(_ number: Int) -> String {
        let digits = String(number)
        return "\(directory)/\(String(repeating: "0", count: max(0, 8 - digits.count)))\(digits).segment"
    }

    /// The number in a segment's file name.
    static func segmentNumber(_ name: String) -> Int? {
        guard name.hasSuffix(".segment") else { return nil }
        return Int(name.dropLast(".segment".count))
    }
}
