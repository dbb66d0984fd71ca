import TurnpikeKit

/// Work on the database that may take long, done in slices: each holds a connection for a moment and lets others at it.
struct TimeSlices {
    private static let slice: UInt64 = 50_000_000

    private let now: @Sendable () -> UInt64
    private let end: UInt64

    /// - Parameter duration: How long it may take together.
    init(_ clock: GatewayClock, _ duration: Duration) {
        now = clock.monotonicNanoseconds
        end = now() + duration.nanoseconds
    }

    /// Runs slices until the work is done or the time is over; one in any case.
    ///
    /// - Parameter work: Gets a closure that tells it when its slice is over, and says whether all is done.
    func run(_ work: (_ isOver: @escaping @Sendable () -> Bool) async throws -> Bool) async throws {
        repeat {
            let sliceEnd = min(now() + Self.slice, end)
            if try await work({ [now] in now() >= sliceEnd }) { return }
        } while now() < end
    }
}
