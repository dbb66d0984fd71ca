import Conversations
import Persistence
import Testing
import TurnpikeTesting

@Suite("Conversations on SQLite") struct ConversationStoreTests {
    @Test(arguments: ConformanceCase.conversations)
    func keepsThePromise(_ promise: ConformanceCase) async throws {
        try await promise.verify(on: SQLiteFixture())
    }

    @Test(arguments: MessageRole.allCases.filter { $0 != .other })
    func aRoleIsKnownByItsName(_ role: MessageRole) {
        #expect(MessageRole(name: "\(role)") == role)
        #expect(MessageRole(name: "critic") == .other)
    }
}
