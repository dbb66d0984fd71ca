import NIOCore
package import Tokens
package import TurnpikeKit

extension ModelCatalogue {
    /// Reads `model_catalogue`, the name of a file whose entries replace those of the shipped catalogue.
    package init(_ root: ConfigurationSection) throws {
        self = .shipped
        guard let text = try root.file("model_catalogue") else { return }
        do throws(CatalogueError) {
            self = overridden(by: try ModelCatalogue(reading: ByteBuffer(string: text)))
        } catch {
            let near = error.unknownKey.flatMap { Spelling.nearest(to: $0, among: error.knownKeys) }
            let file = try root.string("model_catalogue", default: "")
            throw root.error(
                "model_catalogue", "\(file): \(error)" + (near.map { "; did you mean “\($0)”?" } ?? ""))
        }
    }
}
