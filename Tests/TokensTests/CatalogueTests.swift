import NIOCore
import OpenAIWire
import Testing
import Tokens

struct CatalogueTests {
    @Test func theShippedCatalogueKnowsACoupleOfHundredModels() {
        #expect(ModelCatalogue.shipped.count > 300)
        let facts = ModelCatalogue.shipped.facts(for: "gpt-4o")
        #expect(facts?.encoding == .o200k && facts?.contextWindow == 128_000 && facts?.maxOutput == 16_384)
        #expect(facts?.prices == TokenPrices(input: 2_500_000, output: 10_000_000, cachedInput: 1_250_000))
        #expect(facts?.source.hasPrefix("https://") == true && facts?.date.count == 10)
    }

    @Test(arguments: [
        ("gpt-4o-2024-08-06", "gpt-4o-2024-08-06"), ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("openai/gpt-4o", "gpt-4o"),
        ("ft:gpt-4o:my-org:custom:id", "gpt-4o"), ("gpt-5-mini-2025-08-07", "gpt-5-mini"),
        ("gpt-4.1-2025-04-14", "gpt-4.1"),
    ])
    func aVersionOfAModelHasTheFactsOfTheModel(_ name: String, _ entry: String) {
        #expect(ModelCatalogue.shipped.facts(for: name)?.name == entry)
    }

    @Test(arguments: [("gpt-4-32k", TokenEncoding.cl100k), ("o1-unheard-of", .o200k), ("gpt-4.1-unheard-of", .o200k)])
    func anUnlistedModelOfOpenAIHasItsFamilysEncodingAndNoWindow(_ name: String, _ encoding: TokenEncoding) {
        let facts = ModelCatalogue.shipped.facts(for: name)
        #expect(facts?.encoding == encoding && facts?.contextWindow == nil && facts?.prices == nil)
    }

    @Test(arguments: ["", "/", "-", "unheard-of", "gpt-55", "o10", "ft:", "ft::", "1.5"])
    func anUnknownModelHasNoFacts(_ name: String) {
        #expect(ModelCatalogue.shipped.facts(for: name) == nil)
    }

    @Test func anOverridingEntryReplacesTheShippedOne() throws {
        let own = try catalogue(#""gpt-4o": {"context_window": 5}, "local": {"input": 0.02, "output": 0.05}"#)
        let merged = ModelCatalogue.shipped.overridden(by: own)
        #expect(merged.facts(for: "gpt-4o")?.contextWindow == 5 && merged.facts(for: "gpt-4o")?.prices == nil)
        #expect(merged.facts(for: "local")?.prices == TokenPrices(input: 20_000, output: 50_000))
        #expect(merged.count == ModelCatalogue.shipped.count + 1)
    }

    @Test(arguments: [
        (#""m": {"contxt_window": 1}"#, "contxt_window"), (#""m": {"context_window": "many"}"#, "context_window"),
        (#""m": {"context_window": -1}"#, "context_window"), (#""m": {"input": 1}"#, "belong together"),
        (#""m": {"input": -1, "output": 1}"#, "dollars"), (#""m": {"encoding": "p50k_base"}"#, "encoding"),
        (#""m": 1"#, "expected an object"), (#""m": {"image": {"base": 1}}"#, "base and tile"),
    ])
    func aMistakeIsToldWithItsPlace(_ models: String, _ words: String) {
        let error = #expect(throws: CatalogueError.self) { try catalogue(models) }
        #expect(error?.description.contains(words) == true && error?.description.contains("m") == true)
    }

    @Test func theCostOfAnExchangeIsInMicroDollars() {
        let prices = TokenPrices(input: 2_500_000, output: 10_000_000, cachedInput: 1_250_000)
        // 600 at 2.5, 400 at 1.25 and 100 at 10 micro-dollars.
        #expect(prices.cost(of: Usage(prompt: 1_000, completion: 100, cachedPrompt: 400)) == 3_000)
        #expect(prices.cost(of: Usage(prompt: 0, completion: 0)) == 0)
        #expect(TokenPrices(input: 50_000, output: 0).cost(of: Usage(prompt: 10, completion: 0)) == 1)
        #expect(TokenPrices(input: .max, output: .max).cost(of: Usage(prompt: 9, completion: 9)) > 1_000_000)
    }

    private func catalogue(_ models: String) throws -> ModelCatalogue {
        try ModelCatalogue(
            reading: ByteBuffer(
                string: #"{"version": 1, "groups": [{"source": "here", "date": "2026-11-20", "models": {\#(models)}}]}"#
            ))
    }
}
