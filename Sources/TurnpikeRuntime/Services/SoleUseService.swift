package import Conversations
package import Logging
import Persistence
import ServiceLifecycle
import Synchronization

/// Finds out each second whether other processes use the database, and tells them that this one does.
///
/// One that may never believe it is alone (`session_cache.shared_database: true`) still sees to it that no other one does.
package final class SoleUseService: Service {
    /// What `readyz` calls it.
    package static let part = "session_cache"

    private let soleUse: SoleUse
    private let logger: Logger
    private let hasArrived = Atomic(false)
    private let arrival: AsyncStream<Never>
    private let announce: AsyncStream<Never>.Continuation

    package init(_ store: ConversationStore, readiness: Readiness, logger: Logger) {
        soleUse = store.soleUse
        soleUse.keep()
        self.logger = logger
        (arrival, announce) = AsyncStream.makeStream(of: Never.self)
        guard soleUse.wish == .always else { return }
        readiness.addReporter { [soleUse] in
            Readiness.Report(Self.part, problems: soleUse.isEnded ? [Self.problem] : [])
        }
    }

    private static let problem =
        "another process uses the database, against session_cache.shared_database: false; versions are read again"

    /// To be called once the tables are there, before this process is ready: whoever was alone until now knows of it when
    /// this returns. May be called again after it has thrown.
    package func arrive() async throws {
        if !hasArrived.load(ordering: .acquiring) {
            _ = try await soleUse.look()
            // From now on it is looked each second: also while this waits, which may last longer than a look is good
            // for.
            hasArrived.store(true, ordering: .releasing)
        }
        if !soleUse.isAttentive {
            logger.notice("Another process may rely on being alone on the database; waiting until it does not.")
        }
        try await soleUse.attend()
        announce.finish()
    }

    /// Returns when this process may write, or its task is cancelled. For one caller.
    package func arrived() async { for await _ in arrival {} }

    package func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            while (try? await Task.sleep(for: soleUse.isAttentive ? .seconds(1) : .milliseconds(250))) != nil {
                await look()
            }
            try? await gracefulShutdown()
        }
        await soleUse.database.threads.waitAtEnd(.seconds(1)) { [soleUse] in await soleUse.release() }
    }

    private func look() async {
        // While the database does not answer nothing is relied upon.
        guard hasArrived.load(ordering: .acquiring), let finding = try? await soleUse.look() else { return }
        switch finding {
        case .begun: logger.info("This process is alone on the database: versions of sessions are not read.")
        case .ended where soleUse.wish == .always:
            logger.warning("The configuration says that no other process uses the database, but one does.")
        case .ended: logger.info("Another process uses the database too: versions of sessions are read again.")
        case .nothing, .wasNamed: break
        }
    }
}
