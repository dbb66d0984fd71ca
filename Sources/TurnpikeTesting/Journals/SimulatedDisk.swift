package import Journal
import NIOCore
import Synchronization

/// A disk in memory that fails where a test wants it, and that can lose its power.
///
/// A step is everything that changes something: a file made, written, synced, shortened or removed, a directory synced.
/// What was not synced is lost with the power, contents and names alike.
package final class SimulatedDisk: JournalFiles {
    package enum Fault: Sendable, CaseIterable {
        /// The disk is full.
        case full
        /// Half of the bytes are written, then the disk is full.
        case shortWrite
        /// The disk fails.
        case broken
        /// This and everything after it fails, and nothing more becomes durable.
        case powerLoss
    }

    fileprivate final class Node: Sendable {
        struct Contents {
            var now: [UInt8] = []
            var durable: [UInt8] = []
        }
        let contents = Mutex(Contents())
    }

    private struct State {
        var names: [String: Node] = [:]
        var durableNames: [String: Node] = [:]
        var locks: Set<String> = []
        var steps = 0
        var syncs = 0
        var fault: (step: Int, kind: Fault)?
        var isOff = false
        var free = 1 << 40
    }

    private let state = Mutex(State())
    /// Runs in every file sync, before it: to hold the journal's thread.
    private let onSync: @Sendable () -> Void

    package init(onSync: @escaping @Sendable () -> Void = {}) { self.onSync = onSync }

    // MARK: What a test does

    /// Fails once, `step` steps from now.
    package func fail(atStep step: Int, _ kind: Fault) {
        state.withLock { $0.fault = ($0.steps + step, kind) }
    }

    /// Whether the planned fault has not come yet; it is then withdrawn.
    package func withdraw() -> Bool {
        state.withLock { state in
            defer { state.fault = nil }
            return state.fault != nil
        }
    }

    /// Loses what was not synced; then the power is back.
    package func restart() {
        state.withLock { state in
            state.names = state.durableNames
            state.locks = []
            state.isOff = false
            state.fault = nil
            for node in state.names.values { node.contents.withLock { $0.now = $0.durable } }
        }
    }

    /// How many files were synced.
    package var syncs: Int { state.withLock { $0.syncs } }

    package func setFree(_ bytes: Int) { state.withLock { $0.free = bytes } }

    /// The paths of all files.
    package var paths: [String] { state.withLock { $0.names.keys.sorted() } }

    /// Changes a file behind the journal's back, durably.
    package func edit(_ path: String, _ change: (inout [UInt8]) -> Void) {
        guard let node = state.withLock({ $0.names[path] }) else { return }
        node.contents.withLock { contents in
            change(&contents.now)
            contents.durable = contents.now
        }
    }

    package func bytes(of path: String) -> [UInt8] {
        state.withLock { $0.names[path] }?.contents.withLock { $0.now } ?? []
    }

    // MARK: JournalFiles

    package func makeDirectory(_ path: String) throws(JournalError) {}

    package func names(in directory: String) throws(JournalError) -> [String] {
        let prefix = directory + "/"
        return paths.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
            .filter { !$0.contains("/") }
    }

    package func open(_ path: String, isNew: Bool) throws(JournalError) -> any JournalFile {
        if isNew {
            try step()
            state.withLock { $0.names[path] = Node() }
        }
        return try openForReading(path)
    }

    package func openForReading(_ path: String) throws(JournalError) -> any JournalFile {
        guard let node = state.withLock({ $0.names[path] }) else { throw JournalError(.io, "\(path): no such file") }
        return SimulatedFile(self, node)
    }

    package func remove(_ path: String) throws(JournalError) {
        guard state.withLock({ $0.names[path] != nil }) else { return }
        try step()
        state.withLock { _ = $0.names.removeValue(forKey: path) }
    }

    package func syncDirectory(_ path: String) throws(JournalError) {
        try step()
        state.withLock { state in
            for (name, node) in state.names where name.hasPrefix(path + "/") { state.durableNames[name] = node }
            for name in state.durableNames.keys where state.names[name] == nil { state.durableNames[name] = nil }
        }
    }

    package func freeBytes(_ directory: String) throws(JournalError) -> Int { state.withLock { $0.free } }

    package func lock(_ path: String) throws(JournalError) -> any JournalLock {
        guard state.withLock({ $0.locks.insert(path).inserted }) else { throw JournalError(.owned, "process 1 has it") }
        return SimulatedLock { [weak self] in self?.state.withLock { _ = $0.locks.remove(path) } }
    }

    // MARK: Steps

    @discardableResult
    fileprivate func step() throws(JournalError) -> Fault? {
        let fault: Fault? = state.withLock { state in
            if state.isOff { return .powerLoss }
            defer { state.steps += 1 }
            guard let fault = state.fault, fault.step == state.steps else { return nil }
            state.fault = nil
            if fault.kind == .powerLoss { state.isOff = true }
            return fault.kind
        }
        switch fault {
        case nil, .shortWrite: return fault
        case .full: throw JournalError(.full, "an injected fault")
        case .broken, .powerLoss: throw JournalError(.io, "an injected fault")
        }
    }

    fileprivate func sync(_ node: Node) throws(JournalError) {
        onSync()
        try step()
        state.withLock { $0.syncs += 1 }
        node.contents.withLock { $0.durable = $0.now }
    }
}

private final class SimulatedFile: JournalFile {
    private let disk: SimulatedDisk
    private let node: SimulatedDisk.Node

    init(_ disk: SimulatedDisk, _ node: SimulatedDisk.Node) {
        self.disk = disk
        self.node = node
    }

    func size() throws(JournalError) -> Int { node.contents.withLock { $0.now.count } }

    func read(at offset: Int, _ count: Int) throws(JournalError) -> ByteBuffer {
        node.contents.withLock { contents in
            let start = min(offset, contents.now.count)
            return ByteBuffer(bytes: contents.now[start..<min(start + count, contents.now.count)])
        }
    }

    func write(_ bytes: ByteBuffer, at offset: Int) throws(JournalError) -> Int {
        let fault = try disk.step()
        let written = fault == .shortWrite ? bytes.readableBytes / 2 : bytes.readableBytes
        if fault == .shortWrite { disk.fail(atStep: 0, .full) }
        node.contents.withLock { contents in
            let end = offset + written
            if contents.now.count < end { contents.now += Array(repeating: 0, count: end - contents.now.count) }
            contents.now.replaceSubrange(offset..<end, with: bytes.readableBytesView.prefix(written))
        }
        return written
    }

    func sync() throws(JournalError) { try disk.sync(node) }

    func truncate(to size: Int) throws(JournalError) {
        try disk.step()
        node.contents.withLock { $0.now = Array($0.now.prefix(size)) }
    }

    /// Nobody takes anything away here.
    var isInPlace: Bool { true }
}

private final class SimulatedLock: JournalLock {
    private let action: @Sendable () -> Void
    init(_ action: @escaping @Sendable () -> Void) { self.action = action }
    var isInPlace: Bool { true }
    func release() { action() }
}
