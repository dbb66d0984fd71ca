import NIOCore
import OpenAIWire

/// OpenAI's model objects for the names of the configuration.
enum ModelObject {
    /// Providers with thousands of models send about 1 MB.
    static let maxListBytes = 16 << 20

    static func json(_ entry: (name: String, provider: String)) -> ByteBuffer {
        JSONWriter.object { json in
            json.member("id", entry.name)
            json.member("object", "model")
            json.member("created", 0)
            json.member("owned_by", entry.provider)
        }
    }

    static func list(_ entries: [(name: String, provider: String)]) -> ByteBuffer {
        JSONWriter.object { json in
            json.member("object", "list")
            json.array("data") { data in
                for entry in entries { data.element(json: Self.json(entry)) }
            }
        }
    }

    /// The provider's list with those of `entries` in front that it does not have; `nil` if it is no list.
    static func merge(_ entries: [(name: String, provider: String)], into list: ByteBuffer) -> ByteBuffer? {
        guard let object = try? JSONObject(scanning: list), let models = try? object["data"]?.array() else {
            return nil
        }
        var known: Set<String> = []
        var elements: [ByteBuffer] = []
        for model in models {
            if let id = (try? model.object())??["id"]?.string { known.insert(id) }
            elements.append(model.bytes)
        }
        let added = entries.filter { !known.contains($0.name) }.map(json)
        return object.edited([.set("data", elements: added + elements)])
    }
}
