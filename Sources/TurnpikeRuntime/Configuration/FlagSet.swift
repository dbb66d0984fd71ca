package import TurnpikeKit

/// The feature flags of one configuration. A flag that is not named is on.
package struct FlagSet: FlagEvaluator {
    package private(set) var flags: [String: Flag]
    /// Where they stand, for mistakes that only the world's builder can see.
    let section: ConfigurationSection

    /// Reads `flags`: each is `true`, `false`, or a section.
    init(_ section: ConfigurationSection) throws {
        self.section = section
        flags = [:]
        for name in section.names {
            flags[name] =
                section.isSection(name)
                ? try Flag(section.section(name)) : Flag(isEnabled: try section.bool(name, default: true))
        }
    }

    package func isOn(_ name: String, in exchange: Exchange) -> Bool {
        guard let flag = flags[name] else { return true }
        return flag.isOn(name, for: FlagSubject(exchange))
    }

    package func inEffect(for exchange: Exchange) -> [String] {
        guard !flags.isEmpty else { return [] }
        let subject = FlagSubject(exchange)
        return flags.filter { $0.value.isOn($0.key, for: subject) }.map(\.key).sorted()
    }
}

/// Whom a flag is evaluated for.
package struct FlagSubject: Sendable {
    package var user: String?
    package var key: String?
    package var model: String?

    package init(user: String?, key: String?, model: String?) {
        self.user = user
        self.key = key
        self.model = model
    }

    init(_ exchange: Exchange) {
        let principal = exchange[PrincipalKey.self]
        self.init(user: principal?.userName, key: principal?.keyName, model: exchange.facts.requestedModel)
    }
}

/// One feature switch. Denied subjects never have it, allowed ones always, the others by their share of the rollout.
package struct Flag: Sendable {
    package var isEnabled: Bool
    /// Percent of the users; stable per user, because it is a hash of flag and user.
    package var rollout: Int
    package var allow = Targets()
    package var deny = Targets()

    init(isEnabled: Bool) {
        self.isEnabled = isEnabled
        rollout = 100
    }

    /// With `allow` and without `rollout`, only those who are allowed have the feature.
    init(_ section: ConfigurationSection) throws {
        isEnabled = try section.bool("enabled", default: true)
        allow = try Targets(section.section("allow"))
        deny = try Targets(section.section("deny"))
        rollout = try section.int("rollout", default: allow.isEmpty ? 100 : 0, in: 0...100)
    }

    package func isOn(_ name: String, for subject: FlagSubject) -> Bool {
        guard isEnabled, !deny.match(subject) else { return false }
        if allow.match(subject) { return true }
        guard rollout < 100 else { return true }
        guard let user = subject.user else { return false }
        return StableHash.bucket(of: "\(name)\u{0}\(user)") < rollout
    }

    /// Users, keys and models by name; a trailing `*` matches any ending.
    package struct Targets: Sendable {
        package var users: [String] = []
        package var keys: [String] = []
        package var models: [String] = []

        init() {}

        init(_ section: ConfigurationSection) throws {
            users = try section.strings("users") ?? []
            keys = try section.strings("keys") ?? []
            models = try section.strings("models") ?? []
        }

        var isEmpty: Bool { users.isEmpty && keys.isEmpty && models.isEmpty }

        func match(_ subject: FlagSubject) -> Bool {
            Self.match(users, subject.user) || Self.match(keys, subject.key) || Self.match(models, subject.model)
        }

        private static func match(_ patterns: [String], _ name: String?) -> Bool {
            guard let name else { return false }
            return patterns.contains { pattern in
                pattern.hasSuffix("*") ? name.hasPrefix(pattern.dropLast()) : name == pattern
            }
        }
    }
}

/// FNV-1a (64 bit, http://www.isthe.com/chongo/tech/comp/fnv/): the same in every process and release, unlike Swift's
/// own hashing.
enum StableHash {
    /// 0 to 99.
    static func bucket(of text: String) -> Int {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        // FNV's low bits are its weakest: fold the high ones in before taking the remainder.
        return Int((hash ^ (hash >> 32)) % 100)
    }
}
