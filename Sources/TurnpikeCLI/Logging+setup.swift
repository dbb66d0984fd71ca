import Glibc
import Logging
import Persistence
import Synchronization
import TurnpikeRuntime

/// The process's one log: made before the configuration is known, and set by it.
enum ProcessLog {
    private static let current = Mutex((level: Logger.Level.notice, format: LogSettings.Format.text))
    private static let installed: Void = LoggingSystem.bootstrap { StandardErrorLog(label: $0) }

    /// Installs the log. Later calls do nothing.
    static func install() { _ = installed }

    /// What loggers that are made from now on obey.
    static func apply(_ settings: LogSettings) { current.withLock { $0 = (settings.level, settings.format) } }

    fileprivate static var settings: (level: Logger.Level, format: LogSettings.Format) { current.withLock { $0 } }
}

/// Log lines on stderr, as text for people or JSON for machines.
struct StandardErrorLog: LogHandler {
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    private let format: LogSettings.Format

    init(label: String) {
        (logLevel, format) = ProcessLog.settings
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let values = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
        let stamp = Timestamp.now().text
        Self.write(
            format == .json
                ? LogLine.json(stamp, event.level, "\(event.message)", values)
                : LogLine.text(stamp, event.level, "\(event.message)", values))
    }

    /// One `write` a line, so that lines of several threads do not mix.
    private static func write(_ line: String) {
        var line = line + "\n"
        line.withUTF8 { bytes in _ = Glibc.write(STDERR_FILENO, bytes.baseAddress, bytes.count) }
    }
}
