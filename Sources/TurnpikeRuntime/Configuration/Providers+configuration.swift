import TurnpikeKit

extension Providers {
    /// Reads `providers` and `default_provider`.
    init(_ root: ConfigurationSection) throws {
        let section = try root.section("providers")
        let all = try section.names.map { try Provider(name: $0, section.section($0)) }
        guard !all.isEmpty else {
            let advice = "name at least one, such as  openai: { base_url: \"https://api.openai.com/v1\" }"
            throw root.has("providers") ? root.error("providers", advice) : root.missing("providers", advice)
        }
        self.init(all, fallback: try Self.fallback(root, among: all))
    }

    private static func fallback(_ root: ConfigurationSection, among all: [Provider]) throws -> Provider? {
        guard let name = try root.string("default_provider") else {
            guard all.count > 1 else { return all.first }
            // Nothing would lead anywhere.
            guard try !root.section("models").names.isEmpty else {
                let names = all.map(\.name).joined(separator: ", ")
                throw root.error("default_provider", "missing; say which of \(names), or name models under “models”")
            }
            return nil
        }
        guard let provider = all.first(where: { $0.name == name }) else {
            throw root.error("default_provider", "there is no provider “\(name)”")
        }
        return provider
    }
}

extension Provider {
    fileprivate init(name: String, _ section: ConfigurationSection) throws {
        guard var address = try section.string("base_url") else { throw section.missing("base_url") }
        while address.hasSuffix("/") { address.removeLast() }
        guard address.hasPrefix("http://") || address.hasPrefix("https://"), !address.contains("?"),
            !address.contains("#"),
            !address.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7f })
        else { throw section.error("base_url", "expected an address such as https://api.openai.com/v1") }
        let key = try section.secret("api_key")
        try Self.refuseForeignVariable(key, in: section)
        let usage = try section.choice("usage_in_stream", default: UsageInStream.asIs)
        self.init(
            name: name, baseURL: address, apiKey: key,
            passthrough: try section.strings("passthrough") ?? [], asksForUsage: usage == .ask,
            takesPromptCacheKey: try section.bool(
                "prompt_cache_key", default: address.hasPrefix("https://api.openai.com/")),
            reasoning: try section.choice("reasoning", default: .keep),
            connection: try UpstreamConnection(section))
    }

    /// LiteLLM's form of a variable is no key: the provider would answer 401 to it.
    private static func refuseForeignVariable(_ key: Secret?, in section: ConfigurationSection) throws {
        guard let text = key?.reveal(), text.hasPrefix("os.environ/") else { return }
        let name = text.dropFirst("os.environ/".count)
        let isName = name.unicodeScalars.allSatisfy { $0.isASCII && ($0 == "_" || $0.properties.isIDContinue) }
        throw section.error(
            "api_key",
            "an environment variable is written \"${\(isName ? String(name) : "NAME")}\" here, not os.environ/…")
    }

    private enum UsageInStream: String, CaseIterable {
        case asIs = "as_is"
        case ask
    }
}

extension UpstreamConnection {
    fileprivate init(_ section: ConfigurationSection) throws {
        let defaults = UpstreamConnection()
        self.init(
            connectTimeout: try section.duration("connect_timeout", default: defaults.connectTimeout),
            firstByteTimeout: try section.duration("first_byte_timeout", default: defaults.firstByteTimeout),
            idleTimeout: try section.duration("idle_timeout", default: defaults.idleTimeout),
            totalTimeout: try section.duration("total_timeout", default: defaults.totalTimeout),
            certificateAuthority: try section.certificates("ca"), proxy: try section.string("proxy"))
    }
}
