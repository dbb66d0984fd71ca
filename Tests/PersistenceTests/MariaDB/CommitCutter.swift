import Glibc
import Synchronization

/// Stands between us and a server and closes the connection when the answer to a COMMIT is there, before we see it:
/// the commit has happened, and nobody knows.
final class CommitCutter: Sendable {
    private struct State {
        var cuts = 0
        var sockets: [Int32] = []
    }

    let path: String
    private let listener: Listener
    private let state = Mutex(State())

    /// Listens beside the server's own socket.
    init(before server: String) throws {
        path = "\(server)-cut\(UInt32.random(in: 0...UInt32.max))"
        let listener = Listener()
        self.listener = listener
        var address = Self.address(path)
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener.descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard bound == 0, listen(listener.descriptor, 16) == 0 else {
            throw ConformanceFailureOf(description: "no socket")
        }
        let thread = Worker { [weak self] in
            while true {
                let client = accept(listener.descriptor, nil, nil)
                guard client >= 0 else { return }
                guard let self else {
                    close(client)
                    return
                }
                Worker { self.relay(client, Self.connect(server)) }.start()
            }
        }
        thread.start()
    }

    deinit {
        // The accepting thread wakes up and lets go of the socket.
        shutdown(listener.descriptor, Int32(SHUT_RDWR))
        unlink(path)
    }

    /// A listening socket, closed when neither the cutter nor its accepting thread can use its number any more.
    private final class Listener: Sendable {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        deinit { close(descriptor) }
    }

    /// Cuts the next `count` commits.
    func cut(_ count: Int) { state.withLock { $0.cuts = count } }
    var cutsLeft: Int { state.withLock { $0.cuts } }

    private func relay(_ client: Int32, _ server: Int32) {
        defer {
            close(client)
            close(server)
        }
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        var isCutting = false
        while true {
            var polled = [
                pollfd(fd: client, events: Int16(POLLIN), revents: 0),
                pollfd(fd: server, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&polled, 2, -1) > 0 else { return }
            if polled[0].revents != 0 {
                let count = read(client, &buffer, buffer.count)
                guard count > 0 else { return }
                isCutting = isCutting || (Self.isCommit(buffer[..<count]) && takeCut())
                guard write(server, buffer, count) == count else { return }
            }
            if polled[1].revents != 0 {
                let count = read(server, &buffer, buffer.count)
                guard count > 0, !isCutting, write(client, buffer, count) == count else { return }
            }
        }
    }

    private func takeCut() -> Bool {
        state.withLock { state in
            guard state.cuts > 0 else { return false }
            state.cuts -= 1
            return true
        }
    }

    /// A packet of COM_QUERY whose text is COMMIT.
    private static func isCommit(_ bytes: ArraySlice<UInt8>) -> Bool {
        bytes.count >= 11 && bytes[bytes.startIndex + 4] == 3
            && String(decoding: bytes.dropFirst(5).prefix(6), as: UTF8.self).uppercased() == "COMMIT"
    }

    private static func connect(_ path: String) -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = address(path)
        _ = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        return descriptor
    }

    private static func address(_ path: String) -> sockaddr_un {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(107)) }
        return address
    }
}

/// A detached thread for calls that block.
private struct Worker {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }

    private final class Box {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    func start() {
        var thread = pthread_t()
        let box = Unmanaged.passRetained(Box(body)).toOpaque()
        pthread_create(
            &thread, nil,
            { box in
                if let box { Unmanaged<Box>.fromOpaque(box).takeRetainedValue().body() }
                return nil
            }, box)
        pthread_detach(thread)
    }
}
