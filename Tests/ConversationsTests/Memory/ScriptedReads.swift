import Persistence
import Synchronization

/// A database whose readings do first what a test wants: fail, or wait.
final class ScriptedReads: Database {
    /// - Parameter number: of the reading since this was set, from 1.
    typealias Script = @Sendable (_ number: Int) throws -> Void

    private struct State {
        var script: Script?
        var count = 0
    }

    private let base: any Database
    private let state = Mutex(State())

    init(_ base: any Database) { self.base = base }

    var dialect: Dialect { base.dialect }
    var threads: DatabaseThreads { base.threads }

    /// How many readings began since the script was set.
    var count: Int { state.withLock { $0.count } }

    /// - Parameter script: nil: nothing.
    func set(_ script: Script?) { state.withLock { $0 = State(script: script) } }

    /// Answers no reading from now on.
    func goAway() { set { _ in throw DatabaseError(.unavailable, "an injected fault") } }

    func blockingRead<Value>(_ body: (any Connection) throws -> Value) throws -> Value {
        let (script, number) = state.withLock { state in
            state.count += 1
            return (state.script, state.count)
        }
        try script?(number)
        return try base.blockingRead(body)
    }

    func blockingWrite<Value>(_ body: (any Connection) throws -> Value) throws -> Value { try base.blockingWrite(body) }

    func close() async {}
}
