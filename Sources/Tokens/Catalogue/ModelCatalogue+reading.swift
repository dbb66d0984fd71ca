import CTokenTables
public import NIOCore
import OpenAIWire

extension ModelCatalogue {
    /// The catalogue of this release, config/models.json; it is part of the program.
    public static let shipped: ModelCatalogue = {
        let file = token_table_models()
        let bytes = ByteBuffer(bytes: UnsafeRawBufferPointer(start: file.bytes, count: file.count))
        do { return try ModelCatalogue(reading: bytes) } catch {
            preconditionFailure("config/models.json of this release: \(error)")
        }
    }()

    /// Reads a catalogue file, strictly: what it says and nobody knows is an error.
    ///
    /// ```json
    /// {"version": 1, "groups": [
    ///   {"provider": "Local", "source": "its model card", "date": "2026-11-20", "models": {
    ///     "llama3.1:8b": {"context_window": 131072, "max_output": 8192, "input": 0.02, "output": 0.05}}}]}
    /// ```
    ///
    /// Of a model, everything may be missing: `encoding` (`cl100k_base`, `o200k_base`), `context_window`, `max_output`,
    /// the prices `input`, `cached_input` and `output` in dollars for a million tokens, and `image`, which is either
    /// `{"base": 85, "tile": 170}` or `{"patch": 1.62}` (``ImageRule``).
    public init(reading bytes: ByteBuffer) throws(CatalogueError) {
        do throws(WireError) { try JSON.validate(bytes) } catch { throw CatalogueError("the file", "\(error)") }
        let file = try CatalogueObject(JSONValue.of(bytes), "the file", keys: ["version", "groups"])
        guard file.object["version"]?.int == 1 else { throw CatalogueError("version", "expected 1") }
        guard let groups = try? file.object["groups"]?.array() else {
            throw CatalogueError("groups", "expected a list")
        }
        var models: [ModelFacts] = []
        for (index, group) in groups.enumerated() { models += try Self.group(group, "groups[\(index)]") }
        self.init(models)
    }

    private static func group(_ value: JSONValue, _ place: String) throws(CatalogueError) -> [ModelFacts] {
        let group = try CatalogueObject(value, place, keys: ["provider", "source", "by", "date", "models"])
        var sources: [String] = []
        for key in ["source", "by"] {
            if let text = try group.string(key) { sources.append(text) }
        }
        let (source, date) = (sources.joined(separator: ", by "), try group.string("date") ?? "")
        _ = try group.string("provider")
        guard let models = group.object["models"] else { throw CatalogueError(place, "models is missing") }
        let entries = try CatalogueObject(models, "\(place).models", keys: nil).object
        var result: [ModelFacts] = []
        for (name, value) in entries.all {
            var facts = try Self.facts(name, value)
            (facts.source, facts.date) = (source, date)
            result.append(facts)
        }
        return result
    }

    private static func facts(_ name: String, _ value: JSONValue) throws(CatalogueError) -> ModelFacts {
        let model = try CatalogueObject(
            value, name,
            keys: ["encoding", "context_window", "max_output", "input", "cached_input", "output", "image"])
        var facts = ModelFacts(name: name)
        if let encoding = try model.string("encoding") {
            guard let known = TokenEncoding(name: encoding) else { throw model.error("encoding", "is not known") }
            facts.encoding = known
        }
        facts.contextWindow = try model.count("context_window")
        facts.maxOutput = try model.count("max_output")
        facts.prices = try prices(model)
        if let image = model.object["image"] { facts.images = try imageRule(image, "\(name).image") }
        return facts
    }

    private static func prices(_ model: CatalogueObject) throws(CatalogueError) -> TokenPrices? {
        let input = try model.rate("input")
        let output = try model.rate("output")
        let cached = try model.rate("cached_input")
        guard input != nil || output != nil || cached != nil else { return nil }
        guard let input, let output else { throw model.error("input", "input and output belong together") }
        return TokenPrices(input: input, output: output, cachedInput: cached)
    }

    private static func imageRule(_ value: JSONValue, _ place: String) throws(CatalogueError) -> ImageRule {
        let rule = try CatalogueObject(value, place, keys: ["base", "tile", "patch"])
        if let patch = rule.object["patch"]?.double, patch > 0, patch < 1_000 {
            return .patches(hundredths: Int((patch * 100).rounded()))
        }
        guard let base = try rule.count("base"), let tile = try rule.count("tile") else {
            throw CatalogueError(place, "expected base and tile, or patch")
        }
        return .tiles(base: base, tile: tile)
    }
}

/// An object of the file, whose keys are known ones.
private struct CatalogueObject {
    let object: JSONObject
    let place: String

    init(_ value: JSONValue?, _ place: String, keys: Set<String>?) throws(CatalogueError) {
        guard let object = try? value?.object() else { throw CatalogueError(place, "expected an object") }
        if let keys, let unknown = object.all.first(where: { !keys.contains($0.key) }) {
            throw CatalogueError(place, unknownKey: unknown.key, among: keys)
        }
        self.object = object
        self.place = place
    }

    func error(_ key: String, _ reason: String) -> CatalogueError { CatalogueError("\(place).\(key)", reason) }

    func string(_ key: String) throws(CatalogueError) -> String? {
        guard let value = object[key] else { return nil }
        guard let string = value.string else { throw error(key, "expected a string") }
        return string
    }

    func count(_ key: String) throws(CatalogueError) -> Int? {
        guard let value = object[key] else { return nil }
        guard let count = value.int, (0...1_000_000_000).contains(count) else {
            throw error(key, "expected a whole number up to 1,000,000,000")
        }
        return count
    }

    /// Dollars for a million tokens.
    func rate(_ key: String) throws(CatalogueError) -> TokenPrices.Rate? {
        guard let value = object[key] else { return nil }
        guard let dollars = value.double, (0...1_000_000).contains(dollars) else {
            throw error(key, "expected dollars for a million tokens")
        }
        return TokenPrices.Rate((dollars * 1_000_000).rounded())
    }
}

extension JSONValue {
    fileprivate static func of(_ bytes: ByteBuffer) -> JSONValue? { try? JSONValue(scanning: bytes) }
}
