import Persistence
import Synchronization

/// Asks the database for the versions of sessions that are in memory: what many exchanges ask at once is one statement.
///
/// A statement asks for what waits when its thread gets to it, and what comes while it is under way waits for the next:
/// statements, wake-ups and trips over the network are shared by all who came meanwhile. Alone, a question is asked at
/// once, and is one small row. Where more come than one per millisecond, a statement begins a millisecond behind the one
/// before: the row itself is the least of what asking costs.
final class SessionVersions: Sendable {
    typealias Answer = FirstAnswer<Int64?>

    private struct Question {
        let key: SessionKey
        let answer: Answer
    }

    private struct State {
        var waiting: [Question] = []
        var readings = 0
        /// The thread that is about to call `begin`, if there is one.
        var beginner: ThreadName?
        /// When the newest reading began, on the monotonic clock.
        var newest: UInt64 = 0
        /// When the last question came, and whether that was soon after the one before.
        var lastQuestion: UInt64?
        var isBusy = false

        /// Whether another statement may begin for what waits.
        func mayBegin(at now: UInt64, patience: UInt64) -> Bool {
            // Who asks on another thread does not wait for what an event loop has still to do.
            guard beginner != .current, !waiting.isEmpty else { return false }
            return readings == 0 || (readings < maximumReadings && now - newest > patience)
        }

        mutating func count(at now: UInt64) {
            readings += 1
            newest = now
        }

        mutating func add(_ question: Question, at now: UInt64, spacing: UInt64) {
            waiting.append(question)
            isBusy = lastQuestion.map { now - $0 < spacing } ?? false
            lastQuestion = now
        }

        /// What the next statement asks for. Whose time is over has no use for it.
        mutating func take() -> [Question] {
            waiting.removeAll { $0.answer.isGiven }
            let taken = Array(waiting.prefix(batch))
            waiting.removeFirst(taken.count)
            return taken
        }
    }

    /// How many statements may be under way: more than one, so that a connection that hangs does not hold up all others.
    private static let maximumReadings = 3
    /// Nanoseconds after which a statement is taken for a slow one, beside which another one begins: several times what a
    /// row by its key takes, network included.
    static let patience: UInt64 = 5_000_000
    /// Nanoseconds between the beginnings of two statements, as long as questions come faster than that.
    static let spacing: UInt64 = 1_000_000
    /// How many sessions one statement asks for.
    private static let batch = 32

    private let database: any Database
    /// After them nobody waits for a statement any more, and another one takes its place.
    private let deadlines: Deadlines?
    private let patience: UInt64
    private let spacing: UInt64
    private let pause: @Sendable (UInt64) -> Void
    private let state = Mutex(State())

    /// - Parameter pause: Blocks the thread for some nanoseconds.
    init(
        _ database: any Database, _ deadlines: Deadlines?, patience: UInt64 = patience, spacing: UInt64 = spacing,
        pause: @escaping @Sendable (UInt64) -> Void = BlockingThread.sleep
    ) {
        self.database = database
        self.patience = patience
        self.spacing = spacing
        self.pause = pause
        self.deadlines = deadlines
    }

    /// The version of a session; nil if it does not exist or is deleted. An error is the answer's.
    ///
    /// - Returns: `mustBegin`: nobody asks the database unless the caller calls `begin`, once the others that are about to
    ///   ask have done so: behind `Task.yield()`, where an event loop has got to all that came together.
    func ask(_ key: SessionKey) -> (answer: Answer, mustBegin: Bool) {
        let question = Question(key: key, answer: Answer())
        let mustBegin = state.withLock { state in
            let now = monotonicNanoseconds()
            state.add(question, at: now, spacing: spacing)
            guard state.mayBegin(at: now, patience: patience) else { return false }
            state.beginner = .current
            return true
        }
        return (question.answer, mustBegin)
    }

    /// Asks the database for what waits.
    func begin() {
        let mayRead = state.withLock { state in
            state.beginner = nil
            let now = monotonicNanoseconds()
            guard state.mayBegin(at: now, patience: patience) else { return false }
            state.count(at: now)
            return true
        }
        if mayRead { read() }
    }

    /// A statement that is under way, and what it asks for: known once its thread has begun with it.
    private final class Reading: Sendable {
        private struct State {
            var isCounted = true
            var questions: [Question]?
        }

        private let state = Mutex(State())

        /// The same however often the statement is tried.
        func questions(_ take: () -> [Question]) -> [Question] {
            state.withLock { state in
                if let questions = state.questions { return questions }
                let questions = take()
                state.questions = questions
                return questions
            }
        }

        /// Whether it was still one of those that are counted: until it has ended, or takes too long.
        func end() -> Bool {
            state.withLock { state in
                defer { state.isCounted = false }
                return state.isCounted
            }
        }
    }

    /// Reads what waits, and goes on until nothing does. Counted in `readings` already.
    ///
    /// - Parameter followsRead: The calling thread has just ended a reading, and goes on with this one.
    private func read(followsRead: Bool = false) {
        let reading = Reading()
        let (begun, isBusy) = (monotonicNanoseconds(), state.withLock { $0.isBusy })
        let deadline = deadlines?.add { [self] in end(reading) }
        do throws(DatabaseError) {
            try database.startRead(followsRead: followsRead, { [self] in try versions($0, reading) }) {
                [self] result in
                deadline?.cancel()
                answer(reading, result)
                if isBusy { gather(since: begun) }
                end(reading, isReader: true)
            }
        } catch {
            deadline?.cancel()
            answer(reading, .failure(error))
            end(reading)
        }
    }

    private func questions(of reading: Reading) -> [Question] {
        reading.questions { state.withLock { $0.take() } }
    }

    private func answer(_ reading: Reading, _ result: Result<[SessionKey: Int64], any Error>) {
        for question in questions(of: reading) { question.answer.give(result.map { $0[question.key] }) }
    }

    /// Leaves time for others to ask, where they come fast. Until then this reading counts as under way.
    private func gather(since begun: UInt64) {
        let elapsed = monotonicNanoseconds() - begun
        if elapsed < spacing { pause(spacing - elapsed) }
    }

    /// Gives the place of a statement to the next one, once.
    ///
    /// - Parameter isReader: This is the last thing that a reader's thread does of the statement.
    private func end(_ reading: Reading, isReader: Bool = false) {
        guard reading.end() else { return }
        let goesOn = state.withLock { state in
            state.readings -= 1
            guard state.waiting.contains(where: { !$0.answer.isGiven }) else { return false }
            state.count(at: monotonicNanoseconds())
            return true
        }
        if goesOn { read(followsRead: isReader) }
    }

    private func versions(_ connection: any Connection, _ reading: Reading) throws -> [SessionKey: Int64] {
        let keys = questions(of: reading).map(\.key)
        var versions: [SessionKey: Int64] = [:]
        versions.reserveCapacity(keys.count)
        for chunk in keys.chunks(ConversationSQL.lookupSize(connection.dialect)) {
            try connection.forEach(ConversationSQL.versions(of: chunk)) { row in
                versions[SessionKey(owner: try row.value(0), session: try row.value(1))] = try row.value(2)
                return .next
            }
        }
        return versions
    }
}
