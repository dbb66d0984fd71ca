import ArgumentParser
import Persistence

/// When a new key expires.
struct ExpiryOption: ParsableArguments {
    @Option(
        help: "Days until the new key expires; without it, it does not, or when the one that it replaces would have.")
    var expiresInDays: Int?

    func validate() throws {
        if let days = expiresInDays, !(1...36_500).contains(days) {
            throw ValidationError("--expires-in-days takes a number from 1 to 36500.")
        }
    }

    /// `nil`: not said.
    var moment: Timestamp? { expiresInDays.map { Timestamp.now().advanced(by: .seconds($0 * 86_400)) } }
}
