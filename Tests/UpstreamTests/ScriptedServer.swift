import Glibc
import Synchronization

/// A server on loopback whose every connection follows a script, byte by byte, on a thread of its own.
final class ScriptedServer: Sendable {
    let port: UInt16
    private let listener: Int32
    private let script: @Sendable (ServerConnection) throws -> Void
    private let accepted = Atomic<Int>(0)

    /// Starts to listen on a free port below the ephemeral range.
    init(_ script: @escaping @Sendable (ServerConnection) throws -> Void) throws {
        self.script = script
        (listener, port) = try Self.listen()
        Self.onThread { self.acceptAll() }
    }

    var url: String { "http://127.0.0.1:\(port)" }
    var connectionCount: Int { accepted.load(ordering: .sequentiallyConsistent) }

    /// Stops to accept; connections end with their scripts.
    func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

    /// A port on which nobody listens: bound as long as the process runs, so that it goes to no other test's server.
    static func closedPort() throws -> UInt16 { try bind(isShared: false) { _ in true }.port }

    static func listen(backlog: Int32 = 512) throws -> (descriptor: Int32, port: UInt16) {
        try bind(isShared: true) { Glibc.listen($0, backlog) == 0 }
    }

    /// - Parameter isShared: whether another socket may be bound to the port as long as nobody listens on it.
    private static func bind(
        isShared: Bool, then use: (Int32) -> Bool
    ) throws -> (descriptor: Int32, port: UInt16) {
        for _ in 0..<200 {
            let port = UInt16.random(in: 20_000..<32_000)
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var reuses: Int32 = isShared ? 1 : 0
            setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &reuses, 4)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            let bound = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Glibc.bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            if bound == 0, use(descriptor) { return (descriptor, port) }
            close(descriptor)
        }
        throw ServerConnection.Failure()
    }

    private func acceptAll() {
        while true {
            let descriptor = accept(listener, nil, nil)
            guard descriptor >= 0 else { break }
            let number = accepted.add(1, ordering: .sequentiallyConsistent).newValue
            Self.onThread { [script] in
                let connection = ServerConnection(descriptor, number: number)
                try? script(connection)
                connection.close()
            }
        }
        close(listener)
    }

    private static func onThread(_ body: @escaping @Sendable () -> Void) {
        final class Box {
            let body: @Sendable () -> Void; init(_ body: @escaping @Sendable () -> Void) { self.body = body }
        }
        var thread = pthread_t()
        pthread_create(
            &thread, nil,
            { context in
                Unmanaged<Box>.fromOpaque(context!).takeRetainedValue().body()
                return nil
            }, Unmanaged.passRetained(Box(body)).toOpaque())
        pthread_detach(thread)
    }
}

/// One accepted connection. Blocking, with a limit of ten seconds on everything, so that no test hangs.
final class ServerConnection: Sendable {
    struct Failure: Error {}
    struct Request {
        var head: String
        var body: [UInt8]
        var line: String { String(head.prefix { !$0.isNewline }) }
        /// Header lines as they came, without the request line.
        var headers: [String] { head.split(whereSeparator: \.isNewline).dropFirst().map(String.init) }
        func values(_ name: String) -> [String] {
            headers.filter { $0.lowercased().hasPrefix(name.lowercased() + ":") }
                .map { String($0.dropFirst(name.count + 1).drop { $0 == " " }) }
        }
    }

    /// Counts from 1.
    let number: Int
    private let descriptor: Int32
    private let isOpen = Atomic<Bool>(true)
    private let timedOut = Atomic<Bool>(false)
    private let unread = Mutex<[UInt8]>([])

    init(_ descriptor: Int32, number: Int) {
        self.descriptor = descriptor
        self.number = number
        setTimeout(SO_RCVTIMEO, milliseconds: 10_000)
        setTimeout(SO_SNDTIMEO, milliseconds: 10_000)
        var one: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
    }

    func setTimeout(_ option: Int32, milliseconds: Int) {
        var time = timeval(tv_sec: milliseconds / 1000, tv_usec: milliseconds % 1000 * 1000)
        setsockopt(descriptor, SOL_SOCKET, option, &time, socklen_t(MemoryLayout<timeval>.size))
    }

    func setSendBuffer(_ bytes: Int32) {
        var bytes = bytes
        setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &bytes, 4)
    }

    /// Reads once; `nil` when the peer has closed or reset.
    func read() -> [UInt8]? {
        let early = unread.withLock { unread in
            defer { unread = [] }
            return unread
        }
        if !early.isEmpty { return early }
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &bytes, bytes.count, 0)
        timedOut.store(count < 0 && errno == EAGAIN, ordering: .relaxed)
        return count > 0 ? Array(bytes[..<count]) : nil
    }

    func readHead() throws -> Request {
        var bytes: [UInt8] = []
        while true {
            guard let more = read() else { throw Failure() }
            bytes += more
            if let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) {
                unread.withLock { $0 = Array(bytes[end.upperBound...]) }
                return Request(head: String(decoding: bytes[..<end.lowerBound], as: UTF8.self), body: [])
            }
        }
    }

    /// A whole request, framed by Content-Length or in chunks.
    func readRequest() throws -> Request {
        var request = try readHead()
        if request.values("Transfer-Encoding") == ["chunked"] {
            request.body = try readChunks()
        } else {
            request.body = try read(exactly: Int(request.values("Content-Length").first ?? "0") ?? 0)
        }
        return request
    }

    func read(exactly count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            guard let more = read() else { throw Failure() }
            bytes += more
        }
        unread.withLock { $0 = Array(bytes[count...]) }
        return Array(bytes[..<count])
    }

    private func readChunks() throws -> [UInt8] {
        var body: [UInt8] = []
        while true {
            var line: [UInt8] = []
            while !line.suffix(2).elementsEqual([13, 10]) { line += try read(exactly: 1) }
            let count = Int(String(decoding: line.dropLast(2), as: UTF8.self), radix: 16) ?? 0
            body += try read(exactly: count + 2).dropLast(2)
            if count == 0 { return body }
        }
    }

    func write(_ text: String) throws { try write(Array(text.utf8)) }

    func write(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw Failure() }
            sent += count
        }
    }

    /// Writes once; how much the socket took, 0 when it took nothing within its time-out.
    func writeSome(_ bytes: ArraySlice<UInt8>) -> Int {
        max(0, bytes.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) })
    }

    /// Returns when the peer has closed the connection; throws when it does not within the time limit.
    func waitForClose() throws {
        while read() != nil {}
        if timedOut.load(ordering: .relaxed) { throw Failure() }
    }

    /// Ends the connection with a reset.
    func reset() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
        close()
    }

    /// Ends the outgoing stream and goes on reading.
    func closeOutput() { shutdown(descriptor, Int32(SHUT_WR)) }

    func close() {
        if isOpen.exchange(false, ordering: .relaxed) { Glibc.close(descriptor) }
    }
}

/// A listener that has as many connections waiting as it may: the next one is not answered.
final class FullListener: Sendable {
    let port: UInt16
    private let descriptors: [Int32]

    init() throws {
        let (listener, port) = try ScriptedServer.listen(backlog: 0)
        var descriptors = [listener]
        for _ in 0..<4 {
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    _ = connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            descriptors.append(descriptor)
        }
        self.port = port
        self.descriptors = descriptors
    }

    deinit { for descriptor in descriptors { close(descriptor) } }
}
