import Conversations
import Persistence
import Testing
import TurnpikeTesting

@Suite("Conversations", .serialized) struct ConversationStoreTests {
    @Test(arguments: ConformanceCase.conversations, TestedDatabase.allCases)
    func keepsThePromise(_ promise: ConformanceCase, _ tested: TestedDatabase) async throws {
        try await promise.verify(on: tested.fixture())
    }

    @Test(arguments: MessageRole.allCases.filter { $0 != .other })
    func aRoleIsKnownByItsName(_ role: MessageRole) {
        #expect(MessageRole(name: "\(role)") == role)
        #expect(MessageRole(name: "critic") == .other)
    }
}
