import Glibc
import Synchronization

/// What a script waits for until the test lets it go on, at most ten seconds.
final class Gate: Sendable {
    private let pipe: (reader: Int32, writer: Int32)

    init() {
        var ends: [Int32] = [0, 0]
        Glibc.pipe(&ends)
        pipe = (ends[0], ends[1])
    }

    deinit {
        close(pipe.reader)
        close(pipe.writer)
    }

    func open() {
        var byte: UInt8 = 1
        _ = write(pipe.writer, &byte, 1)
    }

    func wait() {
        var poll = pollfd(fd: pipe.reader, events: Int16(POLLIN), revents: 0)
        guard Glibc.poll(&poll, 1, 10_000) == 1 else { return }
        var byte: UInt8 = 0
        _ = read(pipe.reader, &byte, 1)
    }
}

/// A number that a test and its server's scripts share.
final class Atomic64: Sendable {
    private let atomic = Atomic<Int>(0)

    var value: Int {
        get { atomic.load(ordering: .sequentiallyConsistent) }
        set { atomic.store(newValue, ordering: .sequentiallyConsistent) }
    }
    func add(_ count: Int) { atomic.add(count, ordering: .sequentiallyConsistent) }
}
