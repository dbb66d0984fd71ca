import AuthPlugin
import NIOCore
import OpenAIWire
import Persistence
import TurnpikeKit

/// Keys for people and for programs; never the key itself, which nobody has.
enum KeyListing {
    static func table(_ keys: [(user: String, key: KeyInfo)]) -> String {
        var table = Table(["USER", "NAME", "KEY", "SCOPES", "HISTORY", "STATE", "CREATED", "EXPIRES", "HASH KEY", "ID"])
        for (user, key) in keys {
            table.add([
                user, key.name, "\(key.prefix)…", key.scopes.text, key.historyMode?.rawValue ?? "default", key.state,
                key.created.text, key.expires?.text ?? "never", key.hashKeyID, "\(key.id)",
            ])
        }
        return table.text
    }

    static func json(_ keys: [(user: String, key: KeyInfo)]) -> String {
        String(
            buffer: JSONWriter.array { array in
                for (user, key) in keys { array.element(object: { write(key, of: user, &$0) }) }
            })
    }

    /// A rotation, with the new key: to be shown once.
    static func json(_ rotation: KeyRotation, of user: String) -> String {
        String(
            buffer: JSONWriter.object { json in
                json.member("key", rotation.new.secret.reveal())
                write(rotation.new.info, of: user, &json)
                json.object("replaces") { write(rotation.old, of: user, &$0) }
            })
    }

    private static func write(_ key: KeyInfo, of user: String, _ json: inout JSONWriter) {
        json.member("id", "\(key.id)")
        json.member("user", user)
        json.member("name", key.name)
        json.member("prefix", key.prefix)
        json.member("scopes", key.scopes.text)
        json.member("history_mode", key.historyMode?.rawValue)
        json.member("state", key.state)
        json.member("hash_key", key.hashKeyID)
        json.member("created_at", key.created.text)
        json.member("expires_at", key.expires?.text)
        json.member("revoked_at", key.revoked?.text)
        json.member("replaced_by", key.replacedBy.map { "\($0)" })
    }
}

extension KeyInfo {
    fileprivate var state: String {
        if revoked != nil { return "revoked" }
        guard isLive(at: .now()) else { return "expired" }
        return replacedBy == nil ? "live" : "replaced"
    }
}

extension Scopes {
    fileprivate var text: String {
        [contains(.chat) ? "chat" : nil, contains(.admin) ? "admin" : nil].compactMap(\.self).joined(separator: ",")
    }
}

extension Timestamp {
    /// ISO 8601, UTC, to the second.
    var text: String { "\(civil.text)Z" }
}
