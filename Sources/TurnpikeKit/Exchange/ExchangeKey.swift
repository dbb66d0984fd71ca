/// The name and type of a value that middlewares leave in an ``Exchange`` for each other.
///
/// ```swift
/// enum TenantKey: ExchangeKey { typealias Value = Tenant }
/// exchange[TenantKey.self] = tenant
/// ```
public protocol ExchangeKey {
    associatedtype Value: Sendable
}
