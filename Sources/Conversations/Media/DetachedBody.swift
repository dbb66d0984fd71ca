import NIOCore
import OpenAIWire

import struct Crypto.SHA256

/// A message's JSON without its large inline media, and where each of them belongs.
///
/// The media are stored once per user by their hash, see `blobs`. Places are byte offsets and nothing is marked in the
/// text, so what a client writes can never be taken for a reference, and `attached` gives back every byte as it came.
struct DetachedBody {
    /// One inline image, audio clip or file: the inside of a JSON string, as it was escaped.
    struct Blob {
        var sha256: StoredDigest
        var data: ByteBuffer
    }

    /// What is left: valid JSON, with empty strings where the media were.
    var text: ByteBuffer
    /// For each of the media its offset in `text`, 4 bytes, and its SHA-256; nil where there are none.
    var references: ByteBuffer?
    var blobs: [Blob] = []

    init(_ body: ByteBuffer, atLeast minimum: Int = InlineMedia.minimumBytes) {
        let spans = InlineMedia.spans(in: body, atLeast: minimum)
        text = body
        guard !spans.isEmpty else { return }
        var text = ByteBuffer()
        var references = ByteBuffer()
        var position = 0
        for span in spans {
            text.writeImmutableBuffer(body.part(position..<span.lowerBound))
            let blob = Blob(body.part(span))
            references.writeInteger(UInt32(text.readableBytes))
            references.writeBytes(blob.sha256.bytes)
            blobs.append(blob)
            position = span.upperBound
        }
        text.writeImmutableBuffer(body.part(position..<body.readableBytes))
        self.text = text
        self.references = references
    }

    /// The body as it came.
    ///
    /// - Parameter blob: the data of a hash; it throws where there are none.
    static func attached(
        _ text: ByteBuffer, _ references: ByteBuffer, _ blob: (StoredDigest) throws -> ByteBuffer
    ) throws -> ByteBuffer {
        var references = references
        var body = ByteBuffer()
        var position = 0
        while let offset = references.readInteger(as: UInt32.self), let hash = references.readBytes(length: 32),
            let sha256 = StoredDigest(bytes: hash)
        {
            let offset = min(max(position, Int(offset)), text.readableBytes)
            body.writeImmutableBuffer(text.part(position..<offset))
            body.writeImmutableBuffer(try blob(sha256))
            position = offset
        }
        body.writeImmutableBuffer(text.part(position..<text.readableBytes))
        return body
    }
}

extension DetachedBody.Blob {
    init(_ data: ByteBuffer) {
        var hash = SHA256()
        data.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
        guard let sha256 = StoredDigest(bytes: Array(hash.finalize())) else {
            preconditionFailure("SHA-256 has as many bytes as a digest.")
        }
        self.init(sha256: sha256, data: data)
    }
}

extension ByteBuffer {
    /// The readable bytes of a range that lies within them.
    fileprivate func part(_ range: Range<Int>) -> ByteBuffer {
        guard let part = getSlice(at: readerIndex + range.lowerBound, length: range.count) else {
            preconditionFailure("A part lies within the whole.")
        }
        return part
    }
}
