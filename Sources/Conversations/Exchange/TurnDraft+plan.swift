package import NIOCore
package import OpenAIWire
package import Persistence

import struct Crypto.SHA256

extension TurnDraft {
    /// The turn that an exchange adds to its session: what is new of its request, and the model's answer.
    ///
    /// - Parameter answer: the assistant's message, validated JSON.
    package init(id: UniqueID, _ planned: PlannedTurn, in key: SessionKey, answer: ByteBuffer) throws(WireError) {
        let plan = planned.plan
        var messages = plan.newMessages.map { NewMessage(role: $0.role, body: $0.body, digest: $0.digest) }
        let digest = StoredDigest(try MessageDigest(messageJSON: answer))
        messages.append(NewMessage(role: .assistant, body: answer, digest: digest))
        for index in messages.indices {
            messages[index].digestVersion = Int(MessageDigest.version)
            messages[index].citations = Citations.of(messages[index].body)
        }
        planned.count(&messages)
        self.init(id: id, key: key, baseSeq: plan.baseSeq, requestDigest: planned.requestDigest, messages: messages)
        attempt = planned.attempt
        idempotencyKey = planned.idempotencyKey
        contextStart = plan.contextStart
        supersedes = Supersession(fromSeq: plan.supersededFrom, retriesLastTurn: plan.isRetry)
        knownTurn = planned.knownTurn
        system = plan.instructionsToStore.map(SystemMessages.init(messages:))
    }
}

extension PlannedTurn {
    /// Adds the tokens of each message, so that no later request has to count it again.
    fileprivate func count(_ messages: inout [NewMessage]) {
        guard let meter, let encoding = meter.encoding else { return }
        for index in messages.indices {
            let known = newTokens.flatMap { index < $0.count ? $0[index] : nil }
            messages[index].tokens = known ?? meter.tokens(ofMessage: messages[index].body)
            messages[index].tokenEncoding = encoding
        }
    }
}

extension SystemMessages {
    /// The leading instructions of a request, each as it came.
    package init(messages: [ByteBuffer]) {
        let body = JSONArray.joining(messages)
        var hash = SHA256()
        body.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
        self.init(body: body, digest: StoredDigest(hash.finalize()))
    }
}
