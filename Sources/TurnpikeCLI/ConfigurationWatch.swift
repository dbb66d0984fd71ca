import Glibc
import ServiceLifecycle
import UnixSignals

/// Tells when a configuration file may have changed: on SIGHUP, and when its modification time or size differs from a
/// second ago. Without a file it tells nothing.
struct ConfigurationWatch: Service {
    let changes: AsyncStream<Void>
    private let report: AsyncStream<Void>.Continuation
    private let file: String?

    init(_ file: String?) {
        self.file = file
        (changes, report) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    func run() async throws {
        guard let file else { return try await gracefulShutdown() }
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                group.addTask { await watchSignal() }
                group.addTask { await watch(file) }
            }
        }
    }

    private func watchSignal() async {
        for await _ in await UnixSignalsSequence(trapping: .sighup) { report.yield() }
    }

    private func watch(_ file: String) async {
        var known = FileState(file)
        while (try? await Task.sleep(for: .seconds(1))) != nil {
            let state = FileState(file)
            // A file that is being replaced is missing for a moment.
            guard state != known, state != nil else { continue }
            known = state
            report.yield()
        }
    }
}

/// What changes when a file is written or replaced.
private struct FileState: Equatable {
    private let modified: [Int]
    private let size: Int
    private let number: UInt

    init?(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        modified = [Int(status.st_mtim.tv_sec), Int(status.st_mtim.tv_nsec)]
        size = Int(status.st_size)
        number = UInt(status.st_ino)
    }
}
