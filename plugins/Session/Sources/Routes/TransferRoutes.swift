import Conversations
import NIOCore
import NIOHTTP1
import OpenAIWire
import Persistence
import TurnpikeKit

/// Export and import of one session or all of them.
struct TransferRoutes: Sendable {
    let store: ConversationStore
    let configuration: SessionConfiguration
    let bodyLimit: Int

    enum Format: String, CaseIterable {
        case json, markdown
    }

    var all: [Route] {
        SessionRoutes.atBothBases { base, suffix in
            [
                Route(.GET, base + "/sessions/{id}/export") { request, place, exchange in
                    let session = try await OwnedSessions(store, configuration, exchange).session(place["id"])
                    return try export(only: session, request.head, exchange)
                }.described(TransferDescriptions.exportOne(suffix)),
                Route(.GET, base + "/export") { request, _, exchange in
                    try export(only: nil, request.head, exchange)
                }.described(TransferDescriptions.exportAll(suffix)),
                Route(.POST, base + "/import") { request, _, exchange in
                    let owned = try OwnedSessions(store, configuration, exchange)
                    let body = try await importBody(request, exchange)
                    let imports = try await BodyWork.run(on: body.readableBytes) {
                        try ImportReader.read(body, for: owned.owner)
                    }
                    let (sessions, messages) = try await ImportReader(owned: owned).store(imports)
                    return .json(Self.json(sessions, messages), status: .created)
                }.described(TransferDescriptions.importAll(suffix)),
            ]
        }
    }

    /// The JSON of an import, also of one that came as Markdown.
    private func importBody(_ request: Request, _ exchange: Exchange) async throws -> ByteBuffer {
        let body = try await request.body.collect(upTo: bodyLimit)
        let type = request.head.headers.first(name: "content-type") ?? ""
        guard type.lowercased().hasPrefix("text/markdown") else { return body }
        let held = exchange.reservation()
        exchange.keepToEnd(held)
        // It is copied to be read; then its texts as JSON, where a control character takes six bytes, and all of it again.
        let controls = try await BodyWork.run(on: body.readableBytes) {
            body.withUnsafeReadableBytes { bytes in bytes.reduce(0) { $0 + ($1 < 0x20 ? 1 : 0) } }
        }
        try held.take(3 * body.readableBytes + 10 * controls)
        return try await BodyWork.run(on: body.readableBytes) { try MarkdownReader.json(of: body) }
    }

    private func export(only session: Session?, _ head: RequestHead, _ exchange: Exchange) throws -> Response {
        let form: any ExportForm =
            switch try head.word("format", default: Format.json) {
            case .json: JSONExport()
            case .markdown: MarkdownExport()
            }
        let owner = try OwnedSessions(store, configuration, exchange).owner
        let held = exchange.reservation()
        exchange.keepToEnd(held)
        let writer = ExportWriter(store, owner: owner, only: session, form: form, counting: held)
        return Response(
            status: .ok, headers: ["Content-Type": form.contentType],
            body: .stream(PulledBody(on: exchange.eventLoop) { try await writer.next() }))
    }

    private static func json(_ imported: [Imported], _ messages: Int) -> ByteBuffer {
        JSONWriter.object { json in
            json.member("object", "chat.import")
            json.array("session_ids") { ids in for entry in imported { ids.element(entry.session.printedID) } }
            json.member("sessions", imported.count)
            json.member("messages", messages)
            json.array("data") { data in
                for entry in imported { data.element { write(entry, &$0) } }
            }
        }
    }

    /// Which session became which.
    private static func write(_ entry: Imported, _ json: inout JSONWriter) {
        json.member("session_id", entry.session.printedID)
        json.member("external_id", entry.session.externalID)
        json.member("external_conv_id", entry.session.conversation?.externalID)
        json.object("from") { json in
            json.member("session_id", entry.former.id)
            json.member("external_id", entry.former.externalID)
            json.member("external_conv_id", entry.former.conversation)
        }
    }
}
