// Stands in for the real declarations until they land: delete this file together with that change.

/// An id.
public struct UniqueID: Sendable, Hashable {
    /// Interim.
    public static func generate() -> UniqueID { UniqueID() }
    /// Interim.
    public func description(prefix: String) -> String { prefix }
}
/// A schema change.
public struct Migration: Sendable {}
/// A database.
public protocol Database: Sendable {}
