import NIOHTTP1
import TurnpikeKit

/// The head of a streamed answer and how much of its body has passed.
struct StreamedAnswer {
    let response: Response
    let length: ConnectionHandler.AnswerLength
    /// Whether the head is written.
    var isOpen = false
    private var passedBytes = 0

    /// `isReworked`: transformers may change the body's length, so the upstream's promise does not hold.
    init(_ response: Response, isReworked: Bool) {
        self.response = response
        guard !isReworked, let text = response.headers.first(name: "content-length"), let promised = Int(text),
            promised >= 0
        else {
            length = .unknown
            return
        }
        length = .known(promised)
    }

    /// Counts a piece; throws when it is more than was promised.
    mutating func count(_ bytes: Int) throws(GatewayError) {
        passedBytes += bytes
        guard case .known(let promised) = length, passedBytes > promised else { return }
        throw .wrongLength(promised: promised, delivered: passedBytes)
    }

    /// The body is over; throws when it is less than was promised.
    func complete() throws(GatewayError) {
        guard case .known(let promised) = length, passedBytes < promised else { return }
        throw .wrongLength(promised: promised, delivered: passedBytes)
    }
}
