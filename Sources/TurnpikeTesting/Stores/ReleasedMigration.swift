package import Persistence

extension Migration {
    /// A number that changes with any letter of its statements: migrations are append-only, and a database that has one
    /// never sees it again.
    package func fingerprint(_ dialect: Dialect) -> UInt64 {
        statements(dialect).joined(separator: ";").utf8.reduce(14_695_981_039_346_656_037) {
            ($0 ^ UInt64($1)) &* 1_099_511_628_211
        }
    }
}
