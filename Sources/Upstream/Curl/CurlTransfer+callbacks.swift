import CCurl
import NIOCore
import TurnpikeKit

/// What libcurl calls while it works on a transfer, always on the curl thread and never after the handle was removed.
extension CurlTransfer {
    private static let stop = 0

    func installCallbacks(_ context: UnsafeMutableRawPointer) {
        easy.set(CURLOPT_HEADERDATA, pointer: context)
        easy.set(CURLOPT_WRITEDATA, pointer: context)
        easy.set(CURLOPT_PREREQDATA, pointer: context)
        cc_set_data_fn(easy.raw, CURLOPT_HEADERFUNCTION) { data, size, count, context in
            CurlTransfer.at(context).headerLine(UnsafeRawBufferPointer(start: data, count: size * count))
        }
        cc_set_data_fn(easy.raw, CURLOPT_WRITEFUNCTION) { data, size, count, context in
            CurlTransfer.at(context).bodyBytes(UnsafeRawBufferPointer(start: data, count: size * count))
        }
        cc_set_prereq_fn(easy.raw) { context, _, _, _, _ in CurlTransfer.at(context).sendBegins() }
        guard transfer.upload != nil else { return }
        easy.set(CURLOPT_READDATA, pointer: context)
        cc_set_data_fn(easy.raw, CURLOPT_READFUNCTION) { data, size, count, context in
            CurlTransfer.at(context).nextUploadBytes(UnsafeMutableRawBufferPointer(start: data, count: size * count))
        }
    }

    private static func at(_ context: UnsafeMutableRawPointer?) -> CurlTransfer {
        Unmanaged<CurlTransfer>.fromOpaque(context!).takeUnretainedValue()
    }

    private func sendBegins() -> Int32 {
        switch machine.sendBegins(at: driver.now) {
        case .send:
            driver.touched.append(self)
            return Int32(CURL_PREREQFUNC_OK)
        case .refuse:
            refusal = .upstreamConnectionFailed("the connection was closed before the answer", retry: .unsafe)
            return Int32(CURL_PREREQFUNC_ABORT)
        }
    }

    private func headerLine(_ line: UnsafeRawBufferPointer) -> Int {
        switch parser.line(line) {
        case .more: break
        case .head(let head):
            machine.headArrived(at: driver.now)
            report { $0.head = head }
            // After an error's head libcurl sends no more of the body, but it never ends a transfer whose sending waits.
            if head.status >= 300 { resume(CURLPAUSE_SEND) }
        case .refuse(let error):
            refusal = error
            return CurlTransfer.stop
        }
        return line.count
    }

    private func bodyBytes(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard !bytes.isEmpty else { return 0 }
        switch transfer.offered(bytes.count) {
        case .halt:
            machine.halted()
            pause(CURLPAUSE_RECV)
            return Int(CURL_WRITEFUNC_PAUSE)
        case .accept:
            machine.bytesArrived(at: driver.now)
            report { $0.append(bytes) }
            return bytes.count
        }
    }

    private func nextUploadBytes(_ target: UnsafeMutableRawBufferPointer) -> Int {
        guard let upload = transfer.upload else { return 0 }
        switch upload.take(into: target) {
        case .bytes(let count, let change):
            machine.uploadMoved(at: driver.now)
            if change == .resumeSource { report { $0.uploadHasRoom = true } }
            return count
        case .starved:
            machine.uploadStarved(at: driver.now)
            pause(CURLPAUSE_SEND)
            return Int(CURL_READFUNC_PAUSE)
        case .finished:
            machine.uploadEnded(at: driver.now)
            driver.touched.append(self)
            return 0
        case .broken:
            refusal = .badRequest(
                "request_body_incomplete", "The request's body is not as long as it was promised to be.")
            return Int(CURL_READFUNC_ABORT)
        }
    }
}

extension Delivery {
    /// The pieces of one tick become one buffer.
    fileprivate mutating func append(_ piece: UnsafeRawBufferPointer) {
        if bytes == nil { bytes = ByteBufferAllocator().buffer(capacity: piece.count) }
        bytes!.writeBytes(piece)
    }
}
