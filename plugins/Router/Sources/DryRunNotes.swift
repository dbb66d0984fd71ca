import NIOCore
import OpenAIWire

/// What plugins have to say about a dry run, in its answer.
enum DryRunNotes {
    /// The one that has a member of its own: it is described in the API document.
    private static let described = "history"

    static func write(_ notes: [(name: String, json: ByteBuffer)], to json: inout JSONWriter) {
        for note in notes where note.name == described { json.member(note.name, json: note.json) }
        let others = notes.filter { $0.name != described }
        guard !others.isEmpty else { return }
        json.array("notes") { list in
            for note in others {
                list.element { json in
                    json.member("name", note.name)
                    json.member("note", json: note.json)
                }
            }
        }
    }
}
