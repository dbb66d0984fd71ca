package import TurnpikeKit

/// The section `auth`.
package struct AuthConfiguration: Sendable {
    /// Where the hash keys are.
    package let hashKeys: HashKeySource
    package let cache: KeyCacheLimits

    /// Reads the section. Throws a ``ConfigurationError``; touches no file (see ``HashKeySource``).
    package init(_ section: ConfigurationSection) throws {
        hashKeys = try Self.hashKeys(section)
        var cache = KeyCacheLimits()
        cache.entries = try section.int("cache_entries", default: cache.entries, in: 16...10_000_000)
        cache.timeToLive = try section.duration("cache_ttl", default: cache.timeToLive)
        cache.refusedTimeToLive = try section.duration("refused_ttl", default: cache.refusedTimeToLive)
        cache.grace = try section.duration("grace", default: cache.grace)
        self.cache = cache
    }

    private static func hashKeys(_ section: ConfigurationSection) throws -> HashKeySource {
        let single = try section.string("hash_key")
        let several = try section.section("hash_keys")
        let current = try section.string("current_hash_key")
        switch (single, several.names) {
        case (let text?, []):
            guard current == nil else {
                throw section.error("current_hash_key", "it chooses among hash_keys, and there is only hash_key")
            }
            return HashKeySource(currentID: "default", places: [("default", try place(text, "hash_key", in: section))])
        case (nil, let names) where !names.isEmpty:
            let places = try names.map { ($0, try place(try several.string($0) ?? "", $0, in: several)) }
            for name in names where !(1...32).contains(name.utf8.count) {
                throw several.error(name, "the id of a hash key has 1 to 32 bytes")
            }
            return HashKeySource(currentID: try chosen(current, among: names, in: section), places: places)
        case (nil, _):
            throw section.error(
                "hash_key", "it is missing; use \"file:data/hash.key\" (made if it does not exist) or \"${NAME}\"")
        case (_?, _): throw section.error("hash_keys", "give hash_key or hash_keys, not both")
        }
    }

    private static func chosen(_ current: String?, among names: [String], in section: ConfigurationSection) throws
        -> String
    {
        guard let current else {
            guard names.count == 1 else {
                throw section.error("current_hash_key", "say which of \(names.joined(separator: ", ")) is current")
            }
            return names[0]
        }
        guard names.contains(current) else {
            throw section.error("current_hash_key", "there is no hash key “\(current)”")
        }
        return current
    }

    private static func place(_ text: String, _ key: String, in section: ConfigurationSection) throws
        -> HashKeySource.Place
    {
        let place = HashKeySource.Place(text)
        if case .literal(let secret) = place, secret.reveal().utf8.count < HashKeys.minimumLength {
            throw section.error(key, "a hash key has at least \(HashKeys.minimumLength) bytes")
        }
        return place
    }
}

/// How many verified keys are kept, and for how long they are believed.
package struct KeyCacheLimits: Sendable, Equatable {
    /// Verified keys; about 300 bytes each. An eighth of it for refused ones.
    package var entries = 16_384
    /// How long a verified key is believed before it is looked up again.
    package var timeToLive: Duration = .seconds(300)
    /// How long a key is known to be unknown or revoked.
    package var refusedTimeToLive: Duration = .seconds(10)
    /// How long verified keys are believed while the database does not answer, from the first failing poll.
    package var grace: Duration = .seconds(600)
    /// How often every process asks whether keys or users have changed.
    package var pollInterval: Duration = .seconds(1)
    /// How old the last answer to that may be, and how long a lookup may take, before the database counts as down.
    package var patience: Duration = .seconds(2)

    package init() {}
}
