import Logging
import Synchronization
package import TurnpikeKit

/// Where the hash keys come from. Files are read when a hash is first needed, and the current one is created then if it
/// is missing: so `turnpike check` writes nothing, and `turnpike serve` needs no separate step before its first start.
package final class HashKeySource: Sendable {
    /// Where one key's text stands.
    package enum Place: Sendable, Equatable {
        case literal(Secret)
        case file(String)

        init(_ text: String) {
            let scheme = "file:"
            self = text.hasPrefix(scheme) ? .file(String(text.dropFirst(scheme.count))) : .literal(Secret(text))
        }
    }

    private let currentID: String
    private let places: [(id: String, place: Place)]
    private let logger: Logger
    private let loaded = Mutex<HashKeys?>(nil)

    init(currentID: String, places: [(id: String, place: Place)], logger: Logger = Logger(label: "turnpike.auth")) {
        self.currentID = currentID
        self.places = places
        self.logger = logger
    }

    /// The keys. Blocks for a small file's sake the first time; the plugin's `run()` calls it before the first request, and
    /// a reload before it replaces anything.
    ///
    /// Throws a ``HashKeyError`` for a file that cannot be read or created, or that holds too little.
    package func load() throws -> HashKeys {
        try loaded.withLock { loaded in
            if let loaded { return loaded }
            let keys = try read()
            loaded = keys
            return keys
        }
    }

    /// Whether this source and `other` have loaded the same. Reads no file.
    func hasLoadedTheSame(as other: HashKeySource) -> Bool {
        guard let mine = loaded.withLock({ $0 }) else { return false }
        return mine == other.loaded.withLock { $0 }
    }

    private func read() throws -> HashKeys {
        var current: (id: String, secret: Secret)?
        var former: [(id: String, secret: Secret)] = []
        for (id, place) in places {
            let secret = try secret(at: place, createIfMissing: id == currentID)
            if id == currentID { current = (id, secret) } else { former.append((id, secret)) }
        }
        guard let current else { preconditionFailure("The configuration names a current hash key that it has.") }
        return HashKeys(current: current, former: former)
    }

    private func secret(at place: Place, createIfMissing: Bool) throws -> Secret {
        switch place {
        case .literal(let secret): return secret
        case .file(let path):
            let file = HashKeyFile(path: path)
            if let secret = try file.read() { return secret }
            guard createIfMissing else { throw HashKeyError(path: path, "the file is missing") }
            let secret = try file.create()
            logger.notice(
                "A hash key was created. API keys that were made with another one are not accepted.",
                metadata: ["file": "\(path)"])
            return secret
        }
    }
}

/// A file with a hash key that cannot be used. Never holds the key.
package struct HashKeyError: Error, Sendable, Equatable, CustomStringConvertible {
    package let path: String
    package let reason: String

    init(path: String, _ reason: String) {
        self.path = path
        self.reason = reason
    }

    package var description: String { "the hash key \(path) cannot be used: \(reason)" }
}
