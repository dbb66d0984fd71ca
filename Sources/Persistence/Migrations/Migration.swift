/// One change of a component's tables. Migrations are append-only: what was released is never edited.
///
/// Each component (conversations, auth, activity, a third party's plugin) numbers its own, 1, 2, 3 …; all share one
/// version table. A statement must be idempotent (`CREATE TABLE IF NOT EXISTS`, `ADD COLUMN IF NOT EXISTS`), because
/// MariaDB commits at each one and a process may end between two; SQLite does a whole migration in one transaction.
/// Expand before you contract: the previous release keeps running beside the new one.
public struct Migration: Sendable {
    /// Whose tables: a short name that never changes.
    public let component: String
    /// 1, 2, 3 … within the component.
    public let number: Int
    /// What it does, in a few words, for the operator.
    public let name: String
    /// The statements for a dialect, one each.
    public let statements: @Sendable (Dialect) -> [String]

    /// Makes a migration.
    ///
    /// - Parameter statements: Text that the caller vouches for.
    public init(
        _ component: String, _ number: Int, _ name: String, statements: @escaping @Sendable (Dialect) -> [String]
    ) {
        precondition(number > 0, "migrations are numbered from 1")
        precondition(!component.isEmpty && component.utf8.count <= 64, "a component has a name of up to 64 bytes")
        self.component = component
        self.number = number
        self.name = name
        self.statements = statements
    }
}
