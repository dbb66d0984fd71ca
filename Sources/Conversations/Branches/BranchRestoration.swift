import Persistence

/// Makes a branch the conversation again, inside one transaction.
///
/// The session's messages are never made active again in place: what superseded what is history too, and later branches
/// are known by it. What the branch has and the conversation has not is stored once more behind everything else, under
/// new turn ids and with its old times, and supersedes what the conversation has and the branch has not.
struct BranchRestoration {
    private let connection: any Connection
    private let key: SessionKey
    private let branch: Int64
    private let time: Timestamp
    private let limits: MessageLimits
    private let holds: MessageHolds

    init(
        _ connection: any Connection, _ key: SessionKey, branch: Int64, at time: Timestamp,
        within limits: MessageLimits,
        beside holds: MessageHolds
    ) {
        self.connection = connection
        self.key = key
        self.branch = branch
        self.time = time
        self.limits = limits
        self.holds = holds
    }

    func run() throws -> RestoreOutcome {
        let lock = ConversationSQL.lock([key], connection.dialect)
        guard let found = try connection.first(lock, SessionRow.session) else { return .noSuchSession }
        var session = found
        guard try connection.first(ConversationSQL.seqs(ofBranch: branch, key, limit: 1), { _ in }) != nil else {
            return .noSuchBranch
        }
        let wanted = try connection.rows(ConversationSQL.outlines(key, before: branch), ConversationSQL.outline)
        let active = try connection.rows(
            ConversationSQL.outlines(key, in: 0..<session.nextSeq, .oldestFirst), ConversationSQL.outline)
        let common = zip(wanted, active).prefix { $0.seq == $1.seq }.count
        try limits.check([(found, wanted.count - common)], beside: holds, connection)
        if common < active.count {
            let left = active[common].seq..<session.nextSeq
            try connection.execute(ConversationSQL.supersede(key, left, by: left.upperBound))
            session.contextStartSeq = min(session.contextStartSeq, left.lowerBound)
        }
        try copy(wanted[common...], to: &session)
        session.counters.messages = Int64(wanted.count)
        session.version += 1
        session.updatedAt = time
        let row = BulkRows(width: ConversationSQL.updateSessions.width)
        ConversationSQL.append(session, to: row)
        try connection.execute(ConversationSQL.updateSessions, rows: row)
        try SessionSums.add([(key, SessionSums(active: session) - SessionSums(active: found))], connection)
        return .restored(session)
    }

    private func copy(_ messages: ArraySlice<MessageOutline>, to session: inout Session) throws {
        var rest = messages
        while let first = rest.first {
            let turn = rest.prefix { $0.turnID == first.turnID }
            let copied = CopiedTurn(
                old: first.turnID, new: .generate(), seqs: first.seq..<first.seq + Int64(turn.count))
            try connection.execute(ConversationSQL.copyMessages(of: copied, key, to: session.nextSeq))
            try connection.execute(ConversationSQL.copyTurn(copied, key, to: session.nextSeq))
            session.lastTurn = try connection.first(ConversationSQL.lastTurn(copied.new, key)) { row in
                LastTurn(
                    id: copied.new, firstSeq: try row.value(0), baseSeq: try row.value(1),
                    requestDigest: try row.value(2))
            }
            session.nextSeq += Int64(turn.count)
            session.counters.turns += 1
            rest = rest.dropFirst(turn.count)
        }
    }
}

/// A turn that is stored once more. The messages of a turn follow one another without a gap.
struct CopiedTurn {
    let old: UniqueID
    let new: UniqueID
    let seqs: Range<Int64>
}

extension ConversationStore {
    /// Makes the conversation what it was before the turn that the branch was left for.
    ///
    /// What it is now becomes a branch in turn: nothing is deleted. A request that is on its way meanwhile supersedes
    /// nothing of it and is appended behind.
    /// - Parameter limits: What is stored once more counts.
    public func restore(
        branch: Int64, of key: SessionKey, within limits: MessageLimits = MessageLimits()
    ) async throws -> RestoreOutcome {
        try checkIsStored(key)
        return try await write(changing: .session(key)) { [now, holds] in
            try BranchRestoration($0, key, branch: branch, at: now(), within: limits, beside: holds).run()
        }
    }
}
