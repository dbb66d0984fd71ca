import Conversations
import NIOCore
import OpenAIWire
import Persistence

/// The spool for people and for programs. Lists hold ids and sizes, never what was said.
enum SpoolText {
    static func table(_ listing: SpoolListing) -> String {
        let count = listing.turns.count
        var lines = ["\(count) \(count == 1 ? "turn waits" : "turns wait")"]
        if count > 0 {
            var table = Table(["SEQUENCE", "SPOOLED", "BYTES", "USER", "SESSION", "MESSAGES", "STATUS"])
            for waiting in listing.turns {
                table.add([
                    "\(waiting.sequence)", waiting.time.text, "\(waiting.bytes)",
                    waiting.turn.map { "\($0.key.owner)" } ?? "?",
                    waiting.turn?.key.session.description(prefix: Session.idPrefix) ?? "?",
                    waiting.turn.map { "\($0.messages.count)" } ?? "?", waiting.turn?.status.rawValue ?? "unreadable",
                ])
            }
            lines[0] += ":"
            lines.append(table.text)
        }
        for letter in listing.setAside { lines.append("set aside: dead/\(letter.name): \(letter.reason)") }
        for piece in listing.damagedPieces { lines.append("damaged: dead/\(piece)") }
        return lines.joined(separator: "\n")
    }

    static func json(_ listing: SpoolListing) -> String {
        String(
            buffer: JSONWriter.object { json in
                json.array("turns") { array in
                    for waiting in listing.turns {
                        array.element(object: { json in
                            json.member("sequence", Int(clamping: waiting.sequence))
                            json.member("spooled_at", waiting.time.text)
                            json.member("bytes", waiting.bytes)
                            json.member("user_id", waiting.turn.map { "\($0.key.owner)" })
                            json.member(
                                "session_id", waiting.turn?.key.session.description(prefix: Session.idPrefix))
                            json.member("turn_id", waiting.turn.map { "\($0.id)" })
                            if let turn = waiting.turn { json.member("messages", turn.messages.count) }
                            json.member("status", waiting.turn?.status.rawValue)
                        })
                    }
                }
                json.array("dead_letters") { array in
                    for letter in listing.setAside {
                        array.element(object: { json in
                            json.member("file", "dead/\(letter.name)")
                            json.member("spooled_at", letter.time.text)
                            json.member("reason", letter.reason)
                        })
                    }
                }
                json.array("damaged") { array in
                    for piece in listing.damagedPieces { array.element("dead/\(piece)") }
                }
            })
    }

    static func missing(_ directory: String) -> String {
        "There is no directory \(directory) yet: `turnpike serve` makes it."
    }

    static func sentence(_ replayed: SpoolCommand.Replayed) -> String {
        var sentence = "\(replayed.stored) \(replayed.stored == 1 ? "turn was" : "turns were") stored or found stored"
        if replayed.discarded > 0 { sentence += ", \(replayed.discarded) discarded because their sessions are gone" }
        if replayed.setAside > 0 { sentence += ", \(replayed.setAside) set aside" }
        return sentence + "."
    }

    static func json(_ replayed: SpoolCommand.Replayed) -> String {
        String(
            buffer: JSONWriter.object { json in
                json.member("stored", replayed.stored)
                json.member("discarded", replayed.discarded)
                json.member("set_aside", replayed.setAside)
            })
    }

    /// A turn with what was said in it.
    static func json(_ turn: TurnDraft) -> String {
        String(
            buffer: JSONWriter.object { json in
                json.member("turn_id", "\(turn.id)")
                json.member("user_id", "\(turn.key.owner)")
                json.member("session_id", turn.key.session.description(prefix: Session.idPrefix))
                json.member("status", turn.status.rawValue)
                json.member("model", turn.model)
                json.member("provider", turn.provider)
                if let tokens = turn.promptTokens { json.member("prompt_tokens", tokens) }
                if let tokens = turn.completionTokens { json.member("completion_tokens", tokens) }
                json.array("messages") { array in
                    for message in turn.messages {
                        array.element(object: { json in json.member("message", json: message.body) })
                    }
                }
            })
    }
}
