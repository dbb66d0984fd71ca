import Persistence
import Synchronization

/// Asks the database for the versions of sessions that are in memory: what many exchanges ask at once is one statement.
///
/// Which of the two ways is better depends on how much is asked at once: alone, a version is one small row, as fast as
/// the whole session; under load, statements, wake-ups and trips over the network are shared by all who came meanwhile.
final class SessionVersions: Sendable {
    typealias Answer = FirstAnswer<Int64?>

    private struct Question {
        let key: SessionKey
        let answer: Answer
    }

    /// One of the statements that may be under way, given back once: when it has ended, or takes too long.
    private final class Place: Sendable {
        private let isTaken = Mutex(true)

        /// Whether it was still taken.
        func giveBack() -> Bool {
            isTaken.withLock { isTaken in
                defer { isTaken = false }
                return isTaken
            }
        }
    }

    private struct State {
        var waiting: [Question] = []
        var readings = 0
    }

    /// How many statements may be under way: more than one, so that a connection that hangs does not hold up all others.
    private static let maximumReadings = 3
    /// How many sessions one statement asks for.
    private static let batch = 32

    private let database: any Database
    /// After them nobody waits for a statement any more, and another one takes its place.
    private let deadlines: Deadlines?
    private let state = Mutex(State())

    init(_ database: any Database, _ deadlines: Deadlines?) {
        self.database = database
        self.deadlines = deadlines
    }

    /// The version of a session; nil if it does not exist or is deleted. An error is the answer's.
    func ask(_ key: SessionKey) -> Answer {
        let question = Question(key: key, answer: Answer())
        let mayRead = state.withLock { state in
            state.waiting.append(question)
            guard state.readings < Self.maximumReadings else { return false }
            state.readings += 1
            return true
        }
        if mayRead { read() }
        return question.answer
    }

    /// Reads what waits, and goes on until nothing does. Counted in `readings` already.
    private func read() {
        let questions = state.withLock { state in
            // Whose time is over has no use for it.
            state.waiting.removeAll { $0.answer.isGiven }
            let taken = Array(state.waiting.prefix(Self.batch))
            state.waiting.removeFirst(taken.count)
            if taken.isEmpty { state.readings -= 1 }
            return taken
        }
        guard !questions.isEmpty else { return }
        let (keys, place) = (questions.map(\.key), Place())
        do throws(DatabaseError) {
            try database.startRead({ try Self.versions(of: keys, $0) }) { [self] in answer(questions, $0, place) }
            deadlines?.add { [self] in if place.giveBack() { read() } }
        } catch {
            answer(questions, .failure(error), place)
        }
    }

    private func answer(_ questions: [Question], _ result: Result<[SessionKey: Int64], any Error>, _ place: Place) {
        for question in questions { question.answer.give(result.map { $0[question.key] }) }
        if place.giveBack() { read() }
    }

    private static func versions(of keys: [SessionKey], _ connection: any Connection) throws -> [SessionKey: Int64] {
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
