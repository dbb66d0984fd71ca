import ArgumentParser
import Persistence

/// When a new key expires, as `--expires-in-days` says it.
enum Expiry {
    /// The moment that is so many days away.
    static func moment(_ argument: String) throws -> Timestamp {
        guard let days = Int(argument), (1...36_500).contains(days) else {
            throw ValidationError("--expires-in-days takes a number from 1 to 36500.")
        }
        return Timestamp.now().advanced(by: .seconds(days * 86_400))
    }
}
