import NIOCore
package import OpenAIWire
package import Persistence
import TurnpikeKit

extension ConversationStore {
    /// Remembers that the first attempt of a request was refused before it was planned, so that another attempt is not
    /// taken for the repetition of an earlier turn of the same words.
    ///
    /// - Parameter session: What the request calls its session.
    package func noteRefusal(of request: ChatRequest, in session: String, of owner: UniqueID) async {
        // What cannot be read is refused each time.
        let turn = try? await BodyWork.run(on: request.bytes.readableBytes) { try IncomingTurn(request) }
        guard let turn else { return }
        attempts.noteRefusal(AttemptLog.Key(owner, session, turn))
    }
}
