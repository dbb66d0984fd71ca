import Glibc
package import TurnpikeKit

/// What the system knows of this process, under the names that every Prometheus dashboard expects.
package enum ProcessMetrics {
    package static func register(in registry: MetricRegistry) {
        registry.register("process_resident_memory_bytes", .gauge, "Memory that is resident.") {
            statistics("/proc/self/statm").dropFirst().first.map { Double($0) * Double(sysconf(Int32(_SC_PAGESIZE))) }
                ?? 0
        }
        registry.register("process_cpu_seconds_total", .counter, "Processor time, user and system.") {
            // POSIX fixes the unit at a millionth of a second. The fields of getrusage's structures cannot be named in the
            // release build, where another module declares them.
            Double(clock()) / 1e6
        }
        registry.register("process_open_fds", .gauge, "Open files and sockets.") { Double(openFiles()) }
        let start = Double(time(nil))
        registry.register("process_start_time_seconds", .gauge, "When the process began, since 1970.") { start }
    }

    /// The numbers of a file of one line; a few dozen bytes that never touch a disk.
    private static func statistics(_ path: String) -> [Int] {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return [] }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 512)
        let count = read(file, &bytes, bytes.count)
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).split(separator: " ").compactMap { Int($0) }
    }

    private static func openFiles() -> Int {
        guard let directory = opendir("/proc/self/fd") else { return 0 }
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        // Without ".", "..", and the directory itself.
        return max(0, count - 3)
    }
}
