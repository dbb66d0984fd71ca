extension TurnDraft {
    func validate() throws {
        if messages.isEmpty { throw ConversationError.invalid("a turn has at least one message") }
        if model.utf8.count > 255 { throw ConversationError.invalid("the model's name has more than 255 bytes") }
        if provider.utf8.count > 128 { throw ConversationError.invalid("the provider's name has more than 128 bytes") }
        for message in messages where (message.chapter?.unicodeScalars.count ?? 0) > 200 {
            throw ConversationError.invalid("a chapter has more than 200 characters")
        }
        for message in messages where (message.model?.utf8.count ?? 0) > 255 {
            throw ConversationError.invalid("the model's name has more than 255 bytes")
        }
    }
}
