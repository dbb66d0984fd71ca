import Testing

@testable import TurnpikeKit

@Suite struct ConfigurationSectionTests {
    private enum Color: String, CaseIterable { case red, green }

    /// A section of one line per entry, in `t.yaml`, from line 1.
    private func section(_ entries: (String, ConfigurationNode.Content)...) throws -> ConfigurationSection {
        try ConfigurationSection(node(entries), path: "", environment: environment)
    }

    private func node(_ entries: [(String, ConfigurationNode.Content)], from first: Int = 1) -> ConfigurationNode {
        let located = entries.enumerated().map { index, entry in
            let location = ConfigurationNode.Location(file: "t.yaml", line: first + index)
            return (key: entry.0, location: location, node: ConfigurationNode(entry.1, at: location))
        }
        return ConfigurationNode(.section(located), at: .init(file: "t.yaml", line: first))
    }

    private let environment = ConfigurationEnvironment(
        variable: { ["PORT": "8080", "KEY": "sk-1", "NONE": "", "TRICK": "${KEY}"][$0] },
        readFile: { ["/run/key": "sk-file", "/run/empty": ""][$0] })

    private func plain(_ text: String) -> ConfigurationNode.Content { .scalar(text, isQuoted: false) }
    private func quoted(_ text: String) -> ConfigurationNode.Content { .scalar(text, isQuoted: true) }

    private func mistake(_ work: () throws -> some Any) -> String? {
        do {
            _ = try work()
            return nil
        } catch { return "\(error)" }
    }

    @Test func whatIsNotThereHasItsDefault() throws {
        let empty = try section(("nothing", .empty))
        #expect(try empty.string("a") == nil)
        #expect(try empty.string("nothing", default: "b") == "b")
        #expect(try empty.int("a", default: 5) == 5)
        #expect(try empty.double("a", default: 0.5, in: 0...1) == 0.5)
        #expect(try empty.bool("a", default: true))
        #expect(try empty.duration("a", default: .seconds(3)) == .seconds(3))
        #expect(try empty.bytes("a", default: 9) == 9)
        #expect(try empty.choice("a", default: Color.green) == .green)
        #expect(try empty.strings("a") == nil)
        #expect(try empty.secret("a") == nil)
        #expect(try empty.section("a").names.isEmpty)
        #expect(try empty.sections("a").isEmpty)
    }

    @Test func valuesAreReadByTheirTypes() throws {
        let full = try section(
            ("text", plain("8080")), ("int", plain("1_000")), ("double", plain("0.7")), ("bool", plain("false")),
            ("choice", plain("red")),
            ("list", .list([ConfigurationNode(plain("a"), at: .init(file: "t.yaml", line: 6))])))
        #expect(try full.string("text") == "8080")
        #expect(try full.int("int", default: 0) == 1000)
        #expect(try full.double("double", default: 0, in: 0...1) == 0.7)
        #expect(try full.bool("bool", default: true) == false)
        #expect(try full.choice("choice", default: Color.green) == .red)
        #expect(try full.strings("list") == ["a"])
        #expect(full.has("int") && !full.has("other"))
    }

    @Test(arguments: [
        ("250ms", 250), ("10s", 10_000), ("5m", 300_000), ("2h", 7_200_000), ("7d", 604_800_000), ("0s", 0),
    ])
    func durationsHaveUnits(text: String, milliseconds: Int) throws {
        #expect(try section(("d", plain(text))).duration("d", default: .zero) == .milliseconds(milliseconds))
    }

    @Test(arguments: ["", "5", "5 s", "-5s", "1.5s", "s", "5x", "99999999999999999d"])
    func whatIsNoDurationIsAMistake(text: String) throws {
        let value = try section(("d", plain(text)))
        #expect(
            mistake { try value.duration("d", default: .zero) }?.hasPrefix("t.yaml:1: d: expected a duration") == true)
    }

    @Test(arguments: [
        ("65536", 65536), ("64KB", 65536), ("64 KB", 65536), ("32MB", 33_554_432), ("1GB", 1 << 30), ("7B", 7),
    ])
    func sizesHaveUnits(text: String, bytes: Int) throws {
        #expect(try section(("b", plain(text))).bytes("b", default: 0) == bytes)
    }

    @Test(arguments: ["", "KB", "-1", "1.5MB", "1TB", "99999999999999GB"])
    func whatIsNoSizeIsAMistake(text: String) throws {
        let value = try section(("b", plain(text)))
        #expect(mistake { try value.bytes("b", default: 0) }?.hasPrefix("t.yaml:1: b: expected a size") == true)
    }

    @Test func mistakesNameFileLineKeyAndWhatWasExpected() throws {
        let wrong = try section(
            ("int", plain("ten")), ("quoted", quoted("10")), ("low", plain("-1")), ("high", plain("11")),
            ("bool", plain("yes")), ("double", plain("nan")), ("choice", plain("blue")), ("scalar", .list([])),
            ("list", plain("a")), ("section", plain("a")))
        #expect(mistake { try wrong.int("int", default: 0) } == "t.yaml:1: int: expected a whole number, found “ten”")
        #expect(mistake { try wrong.int("quoted", default: 0) }?.hasPrefix("t.yaml:2: quoted:") == true)
        #expect(mistake { try wrong.int("low", default: 0) } == "t.yaml:3: low: -1 is out of range (0 or more)")
        #expect(
            mistake { try wrong.int("high", default: 0, in: 1...10) } == "t.yaml:4: high: 11 is out of range (1 to 10)")
        #expect(
            mistake { try wrong.bool("bool", default: true) } == "t.yaml:5: bool: expected true or false, found “yes”")
        #expect(mistake { try wrong.double("double", default: 0, in: 0...1) }?.contains("from 0.0 to 1.0") == true)
        #expect(mistake { try wrong.choice("choice", default: Color.red) }?.contains("one of red, green") == true)
        #expect(mistake { try wrong.string("scalar") } == "t.yaml:8: scalar: expected a single value")
        #expect(mistake { try wrong.strings("list") } == "t.yaml:9: list: expected a list")
        #expect(mistake { try wrong.section("section") } == "t.yaml:10: section: expected a section of keys")
    }

    // MARK: - Environment and secrets

    @Test func variablesAreReplacedOnce() throws {
        let values = try section(
            ("text", plain("http://h:${PORT}/${PORT}")), ("trick", plain("${TRICK}")), ("int", quoted("${PORT}")),
            ("unset", plain("${NOT_SET}")), ("open", plain("${PORT")))
        #expect(try values.string("text") == "http://h:8080/8080")
        #expect(try values.string("trick") == "${KEY}")
        #expect(try values.int("int", default: 0) == 8080, "The quotes are there for the braces.")
        #expect(
            mistake { try values.string("unset") } == "t.yaml:4: unset: the environment variable NOT_SET is not set")
        #expect(mistake { try values.string("open") }?.hasPrefix("t.yaml:5: open:") == true)
    }

    @Test func secretsComeFromTheFileTheEnvironmentOrAFile() throws {
        let values = try section(
            ("plain", plain("sk-0")), ("variable", plain("${KEY}")), ("file", plain("file:/run/key")),
            ("missing", plain("file:/run/other")), ("empty", plain("${NONE}")), ("emptyFile", plain("file:/run/empty")))
        #expect(try values.secret("plain")?.reveal() == "sk-0")
        #expect(try values.secret("variable")?.reveal() == "sk-1")
        #expect(try values.secret("file")?.reveal() == "sk-file")
        #expect(mistake { try values.secret("missing") } == "t.yaml:4: missing: the file /run/other cannot be read")
        #expect(mistake { try values.secret("empty") } == "t.yaml:5: empty: the value is empty")
        #expect(mistake { try values.secret("emptyFile") } == "t.yaml:6: emptyFile: the file /run/empty is empty")
    }

    @Test func aMistakeShowsAVariablesNameAndNotItsValue() throws {
        let values = try section(("port", plain("${KEY}")))
        let message = mistake { try values.int("port", default: 0) }
        #expect(message?.contains("${KEY}") == true && message?.contains("sk-1") == false)
    }

    // MARK: - Unknown and double keys

    @Test func aKeyThatNobodyAskedForIsNamedWithTheNearestOne() throws {
        let values = try section(
            ("prot", plain("1")), ("inner", node([("max_bdy", plain("1"))], from: 7).content), ("zzzzzz", plain("1")))
        _ = try values.int("port", default: 0)
        _ = try values.section("inner").bytes("max_body", default: 0)
        #expect(
            values.unknownKeys().map(\.description) == [
                "t.yaml:1: prot: unknown key; did you mean “port”?",
                "t.yaml:3: zzzzzz: unknown key; known: inner, port",
                "t.yaml:7: inner.max_bdy: unknown key; did you mean “max_body”?",
            ])
    }

    @Test func sectionsAskedForTwiceRememberBothReaders() throws {
        let values = try section(("s", node([("a", plain("1")), ("b", plain("2"))]).content))
        _ = try values.section("s").int("a", default: 0)
        _ = try values.section("s").int("b", default: 0)
        #expect(values.unknownKeys().isEmpty)
    }

    @Test func listsOfSectionsNameTheirPlace() throws {
        let values = try section(("targets", .list([node([("provder", plain("x"))], from: 4)])))
        let target = try #require(try values.sections("targets").first)
        _ = try target.string("provider")
        #expect(
            values.unknownKeys().map(\.description) == [
                "t.yaml:4: targets[0].provder: unknown key; did you mean “provider”?"
            ])
    }

    @Test func aKeyThatStandsTwiceIsAMistakeAtTheSecond() {
        #expect(mistake { try section(("a", plain("1")), ("a", plain("2"))) } == "t.yaml:2: a: the key appears twice")
    }

    @Test func isReadFromManyThreads() async throws {
        let values = try section(("s", node([("a", plain("1"))]).content))
        await withTaskGroup(of: Int?.self) { group in
            for _ in 0..<50 { group.addTask { try? values.section("s").int("a", default: 0) } }
            for await value in group { #expect(value == 1) }
        }
        #expect(values.unknownKeys().isEmpty)
    }
}
