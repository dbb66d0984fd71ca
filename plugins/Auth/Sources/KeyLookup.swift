import NIOCore
import Persistence
import TurnpikeKit

/// Reads keys from the database by their hash, so no comparison of secrets takes place whose time could tell anything.
struct KeyLookup: Sendable {
    let database: any Database
    let hashKeys: HashKeySource

    /// The verdict on a key. Throws `DatabaseError`, or a ``HashKeyError`` if there is nothing to hash with.
    func verdict(on key: PresentedKey) async throws -> Verdict {
        let keys = try hashKeys.load()
        let hashes = key.withBytes(keys.hashes)
        guard let row = try await database.read(.patiently, { try Self.row(hashes, $0) }) else { return .unknown }
        if row.isRevoked { return .revoked }
        if row.hash != hashes[0] { await renew(row.hash, as: hashes[0], keys.currentID) }
        return .verified(row.key)
    }

    /// Those of the keys that are stored and not revoked, by their ids. They were verified before, so whose they are is
    /// asked here and nothing is shown to anybody. Throws `DatabaseError`.
    func liveKeys(_ ids: [UniqueID]) async throws -> [UniqueID: VerifiedKey] {
        try await database.read(.patiently) { try Self.liveKeys(ids, $0) }
    }

    private static func liveKeys(_ ids: [UniqueID], _ connection: any Connection) throws -> [UniqueID: VerifiedKey] {
        let rows = try connection.rows(selection("k.key_id IN (\(list: ids)) AND k.revoked_us IS NULL"), found)
        return Dictionary(rows.map { ($0.key.principal.keyID, $0.key) }) { first, _ in first }
    }

    /// The number that every change of keys and users raises.
    func generation() async throws -> Int64 {
        let found = try await database.read(.patiently) { connection in
            try connection.first("SELECT generation FROM changes WHERE change_id = 1") { try $0.integer(0) }
        }
        return found ?? -1
    }

    private struct Found: Sendable {
        let hash: ByteBuffer
        let key: VerifiedKey
        let isRevoked: Bool
    }

    private static func row(_ hashes: [ByteBuffer], _ connection: any Connection) throws -> Found? {
        try connection.first(selection("k.key_hash IN (\(list: hashes))"), found)
    }

    private static func selection(_ condition: SQL) -> SQL {
        """
        SELECT k.key_hash, k.user_id, u.name, k.key_id, k.name, k.scopes, k.expires_us, k.revoked_us, k.history_mode \
        FROM api_keys k JOIN users u ON u.user_id = k.user_id WHERE \(sql: condition)
        """
    }

    private static func found(_ row: borrowing Row) throws -> Found {
        let principal = Principal(
            userID: try row.value(1), userName: try row.value(2), keyID: try row.value(3), keyName: try row.value(4),
            scopes: Scopes(rawValue: try row.value(5)), historyMode: try HistoryMode(stored: row, 8))
        let expires: Int64? = try row.optional(6)
        let revoked: Int64? = try row.optional(7)
        return Found(
            hash: try row.value(0), key: VerifiedKey(principal: principal, expires: expires),
            isRevoked: revoked != nil)
    }

    /// Stores the hash that the current hash key gives, so that a former hash key is needed no more once every API key
    /// has been used. If it fails, the next lookup tries again.
    private func renew(_ old: ByteBuffer, as new: ByteBuffer, _ id: String) async {
        _ = try? await database.write(.patiently) { connection in
            try connection.execute(
                "UPDATE api_keys SET key_hash = \(new), hash_key_id = \(id) WHERE key_hash = \(old)")
        }
    }
}
