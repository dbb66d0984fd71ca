import Glibc
import Logging
import Synchronization
import TurnpikeRuntime

/// Log lines on stderr, as text for people or JSON for machines.
struct StandardErrorLog: LogHandler {
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    private let label: String
    private let format: LogSettings.Format

    init(label: String, settings: LogSettings) {
        self.label = label
        logLevel = settings.level
        format = settings.format
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(
        level: Logger.Level, message: Logger.Message, metadata extra: Logger.Metadata?, source: String, file: String,
        function: String, line: UInt
    ) {
        let values = metadata.merging(extra ?? [:]) { $1 }.sorted { $0.key < $1.key }
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        let stamp = Dates.text(microseconds: Int64(time.tv_sec) * 1_000_000)
        Self.write(
            format == .json
                ? LogLine.json(stamp, level, "\(message)", values) : LogLine.text(stamp, level, "\(message)", values))
    }

    /// One `write` a line, so that lines of several threads do not mix.
    private static func write(_ line: String) {
        var line = line + "\n"
        line.withUTF8 { bytes in _ = Glibc.write(STDERR_FILENO, bytes.baseAddress, bytes.count) }
    }
}
