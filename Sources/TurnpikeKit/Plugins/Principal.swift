public import Persistence

/// Who is asking: the user who owns everything, and the key that was shown.
public struct Principal: Sendable, Equatable {
    public var userID: UniqueID
    public var userName: String
    public var keyID: UniqueID
    public var keyName: String
    public var scopes: Scopes
    /// What the messages of the key's requests are, where neither the request nor its session says; nil: as configured.
    public var historyMode: HistoryMode?

    public init(
        userID: UniqueID, userName: String, keyID: UniqueID, keyName: String, scopes: Scopes,
        historyMode: HistoryMode? = nil
    ) {
        self.userID = userID
        self.userName = userName
        self.keyID = keyID
        self.keyName = keyName
        self.scopes = scopes
        self.historyMode = historyMode
    }
}

/// What a key may do. Stored as the raw value.
public struct Scopes: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The API that applications use.
    public static let chat = Scopes(rawValue: 1)
    /// Users, keys and everybody's activity.
    public static let admin = Scopes(rawValue: 2)
}

/// Left by `auth`; present from stage `limit` on.
public enum PrincipalKey: ExchangeKey { public typealias Value = Principal }
