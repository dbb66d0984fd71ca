import Logging
import Synchronization
package import TurnpikeKit

/// Where the hash keys come from: texts or files, which are read once.
///
/// A missing file is no reason to make one: API keys may be stored under the one that was there, and under a new one nobody
/// could tell why all of them are refused. So only ``KeyStore/loadHashKeys()`` calls ``create()``, which asks first.
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

    /// The id of the key that new hashes are made with.
    let currentID: String
    private let places: [(id: String, place: Place)]
    private let logger: Logger
    private let loaded = Mutex<HashKeys?>(nil)

    init(currentID: String, places: [(id: String, place: Place)], logger: Logger = Logger(label: "turnpike.auth")) {
        self.currentID = currentID
        self.places = places
        self.logger = logger
    }

    /// Whether they have been loaded. Reads no file.
    var isLoaded: Bool { loaded.withLock { $0 != nil } }

    /// The keys. Blocks for a small file's sake the first time; the plugin's `run()` calls it, and a reload before it
    /// replaces anything.
    ///
    /// Throws a ``HashKeyError`` for a file that is missing, cannot be read, or holds too little.
    package func load() throws -> HashKeys {
        guard let keys = try loadUnlessMissing() else { throw missing("put it back") }
        return keys
    }

    /// The same, but nil if the file of the current key is missing, which is as it should be before the first start.
    func loadUnlessMissing() throws -> HashKeys? {
        try loaded.withLock { loaded in
            if loaded == nil { loaded = try read { _ in nil } }
            return loaded
        }
    }

    /// The keys, with a new current one if its file is missing. Of two processes that call it at once one makes the file.
    ///
    /// Only for somebody who knows that no API key is stored under the current key's id.
    func create() throws -> HashKeys {
        try loaded.withLock { loaded in
            if let loaded { return loaded }
            guard let keys = try read(make) else { preconditionFailure("A file that was made holds a key.") }
            loaded = keys
            return keys
        }
    }

    /// The error about the missing file of the current key. `advice` says what to do.
    func missing(_ advice: String) -> HashKeyError {
        guard case .file(let path)? = places.first(where: { $0.id == currentID })?.place else {
            preconditionFailure("Only a file can be missing.")
        }
        return HashKeyError(path: path, "the file is missing: \(advice)")
    }

    /// Whether this source and `other` have loaded the same. Reads no file.
    func hasLoadedTheSame(as other: HashKeySource) -> Bool {
        guard let mine = loaded.withLock({ $0 }) else { return false }
        return mine == other.loaded.withLock { $0 }
    }

    /// Nil if the file of the current key is missing and `replacement` gives nothing in its place.
    private func read(_ replacement: (HashKeyFile) throws -> Secret?) throws -> HashKeys? {
        var current: Secret?
        var former: [(id: String, secret: Secret)] = []
        for (id, place) in places {
            let secret = try secret(at: place, orElse: id == currentID ? replacement : Self.refuse)
            if id == currentID { current = secret } else if let secret { former.append((id, secret)) }
        }
        return current.map { HashKeys(current: (currentID, $0), former: former) }
    }

    private func secret(at place: Place, orElse replacement: (HashKeyFile) throws -> Secret?) throws -> Secret? {
        switch place {
        case .literal(let secret): return secret
        case .file(let path):
            let file = HashKeyFile(path: path)
            return try file.read() ?? replacement(file)
        }
    }

    private static func refuse(_ file: HashKeyFile) throws -> Secret? {
        throw HashKeyError(path: file.path, "the file is missing: put it back, or take it out of hash_keys")
    }

    private func make(_ file: HashKeyFile) throws -> Secret {
        let secret = try file.create()
        logger.notice("A hash key was created. Keep a copy of it.", metadata: ["file": "\(file.path)"])
        return secret
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
