import Glibc
import TurnpikeKit

/// A file that holds one hash key as a line of text.
struct HashKeyFile {
    let path: String
    /// More than any key; a file that is larger is something else.
    private static let maximumLength = 4_096

    /// The key, without line breaks and spaces around it; nil if there is no such file.
    func read() throws -> Secret? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            if errno == ENOENT { return nil }
            throw failure("it cannot be read")
        }
        defer { close(file) }
        let bytes = [UInt8](unsafeUninitializedCapacity: Self.maximumLength + 1) { buffer, count in
            while count < buffer.count {
                let result = Glibc.read(file, buffer.baseAddress! + count, buffer.count - count)
                if result <= 0 { break }
                count += result
            }
        }
        guard bytes.count <= Self.maximumLength, let text = String(validating: bytes, as: UTF8.self) else {
            throw HashKeyError(path: path, "it is not a line of text")
        }
        let trimmed = text.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed()
        guard trimmed.count >= HashKeys.minimumLength else {
            throw HashKeyError(path: path, "it has fewer than \(HashKeys.minimumLength) characters")
        }
        return Secret(String(trimmed))
    }

    /// Makes the file (mode 0600, its directory 0700) with 32 random bytes in base 64, and returns what it then holds.
    ///
    /// It is written beside its place and linked there, so that of two processes which start at once one wins and the
    /// other reads the winner's, and nobody ever reads half of it.
    func create() throws -> Secret {
        makeDirectory()
        let unfinished = "\(path).\(UInt64.random(in: 0...UInt64.max))"
        let file = open(unfinished, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw failure("it cannot be created") }
        defer { unlink(unfinished) }
        let text = Array((Base64.encode((0..<32).map { _ in UInt8.random(in: 0...255) }) + "\n").utf8)
        let isWritten = write(file, text, text.count) == text.count && fsync(file) == 0
        close(file)
        guard isWritten, link(unfinished, path) == 0 || errno == EEXIST else { throw failure("it cannot be written") }
        guard let secret = try read() else { throw failure("it has vanished") }
        return secret
    }

    private func makeDirectory() {
        guard let slash = path.lastIndex(of: "/"), slash > path.startIndex else { return }
        // If it fails for another reason than that it exists, opening the file says why.
        mkdir(String(path[..<slash]), 0o700)
    }

    private func failure(_ reason: String) -> HashKeyError {
        HashKeyError(path: path, "\(reason) (\(String(cString: strerror(errno))))")
    }
}

/// RFC 4648 with padding, for a few bytes.
private enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits = (0..<3).reduce(UInt32(0)) { $0 << 8 | ($1 < group.count ? UInt32(group[start + $1]) : 0) }
            for index in 0..<4 {
                text.append(index <= group.count ? alphabet[Int(bits >> (18 - 6 * index)) & 63] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
