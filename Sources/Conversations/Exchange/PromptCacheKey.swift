import OpenAIWire
import Persistence

import struct Crypto.SHA256

/// The key under which a provider looks for cached prefixes of a session's prompts.
///
/// The same for all requests of a session, so that they reach the machine that has its prefix. It tells nothing: ids of
/// sessions have more random bits than anybody can try, and the provider sees half of a hash of them.
enum PromptCacheKey {
    static let field = "prompt_cache_key"

    static func value(for session: SessionKey) -> String {
        var hash = SHA256()
        hash.update(data: Array("turnpike prompt cache 1".utf8))
        hash.update(data: session.owner.bytes)
        hash.update(data: session.session.bytes)
        let digits = Array("0123456789abcdef".utf8)
        let hex = hash.finalize().prefix(16).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        return String(decoding: hex, as: UTF8.self)
    }
}
