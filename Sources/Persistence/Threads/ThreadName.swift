import Glibc

/// Tells threads apart, for as long as they live.
package struct ThreadName: Sendable, Equatable {
    private let number: UInt

    /// The calling thread's.
    package static var current: ThreadName { ThreadName(number: UInt(pthread_self())) }
}
