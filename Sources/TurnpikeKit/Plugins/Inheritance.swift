import Synchronization

/// What the plugins of one world leave to those of the next: caches that a reload of the configuration must not empty.
///
/// Values are named by the plugin's id. A world that is never used, because its configuration has a mistake further
/// down, leaves nothing to anybody.
public final class Inheritance: Sendable {
    private let received: [String: any Sendable]
    private let left = Mutex<[String: any Sendable]>([:])

    /// What `former` has left; nothing at the start of the process.
    package init(from former: Inheritance? = nil) { received = former?.left.withLock { $0 } ?? [:] }

    /// Makes the value that this world uses, and leaves it to the next.
    ///
    /// - Parameters:
    ///   - name: The plugin's id.
    ///   - make: Gets what the world before left under this name, if anything, and decides whether it still fits.
    public func succeed<Value: Sendable>(_ name: String, _ make: (Value?) throws -> Value) rethrows -> Value {
        let value = try make(received[name] as? Value)
        left.withLock { $0[name] = value }
        return value
    }
}
