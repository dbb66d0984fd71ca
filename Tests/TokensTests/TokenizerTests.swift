import NIOCore
import Testing
import Tokens
import TurnpikeTesting

struct TokenizerTests {
    @Test func countsAPhraseAsTheModelsDo() {
        #expect(Tokenizer(.cl100k).ids("hello world") == [15339, 1917])
        #expect(Tokenizer(.o200k).ids("hello world") == [24912, 2375])
    }

    @Test(arguments: TokenEncoding.allCases)
    func anEmptyTextHasNoTokens(_ encoding: TokenEncoding) {
        #expect(Tokenizer(encoding).count("") == 0)
    }

    @Test(arguments: TokenEncoding.allCases)
    func aSpecialTokenInATextIsOrdinaryText(_ encoding: TokenEncoding) {
        #expect(Tokenizer(encoding).count("<|endoftext|>") == 7)
    }

    /// Of tiktoken 0.14.0, for what a repair by Python's `decode(errors="replace")` leaves.
    @Test(arguments: [[0x61, 0xFF, 0x62], [0xE2, 0x82], [0xED, 0xA0, 0x80], [0xF0, 0x9F, 0x98, 0x41]] as [[UInt8]])
    func whatIsNoUTF8CountsAsReplacementCharacters(_ bytes: [UInt8]) {
        let tokenizer = Tokenizer(.o200k)
        #expect(tokenizer.count(ByteBuffer(bytes: bytes)) == tokenizer.count(String(decoding: bytes, as: UTF8.self)))
        #expect(String(decoding: bytes, as: UTF8.self).unicodeScalars.contains("\u{FFFD}"))
    }

    /// The counts are tiktoken's for o200k_base, except for spaces, on which its regular expression overflows its stack.
    @Test(arguments: [
        (String(repeating: "a", count: 100_000), 12_500), (String(repeating: " ", count: 100_000), 782),
        (String(repeating: "ab", count: 50_000), 25_000), (String(repeating: "é", count: 50_000), 50_000),
    ])
    func longRunsAreCountedInLinearTime(_ text: String, _ tokens: Int) {
        let time = ContinuousClock().measure { #expect(Tokenizer(.o200k).count(text) == tokens) }
        // A debug build takes a tenth of a second; what is quadratic takes minutes.
        #expect(time < .seconds(20))
    }

    @Test(arguments: TokenEncoding.allCases)
    func countsAreThoseOfTheIds(_ encoding: TokenEncoding) {
        var random = SeededGenerator(seed: 7)
        for _ in 0..<500 {
            let text = random.text()
            #expect(Tokenizer(encoding).count(text) == Tokenizer(encoding).ids(text).count)
        }
    }

    /// Counting scans what looks like no language, ids are always searched for: two ways to the same tokens.
    @Test(arguments: TokenEncoding.allCases)
    func randomLettersHaveAsManyTokensAsIds(_ encoding: TokenEncoding) {
        var random = SeededGenerator(seed: 13)
        for round in 0..<1500 {
            let text = random.noise(round < 1490 ? 1 << (round % 9) : 20_000)
            #expect(Tokenizer(encoding).count(text) == Tokenizer(encoding).ids(text).count, "\(text.prefix(600))")
        }
    }

    @Test(arguments: TokenEncoding.allCases)
    func randomBytesAreCountedAndNeverMoreThanOneATokenEach(_ encoding: TokenEncoding) {
        var random = SeededGenerator(seed: 11)
        for length in 0..<600 {
            let bytes = (0..<length).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            let repaired = String(decoding: bytes, as: UTF8.self)
            let count = bytes.withUnsafeBytes { Tokenizer(encoding).count(utf8: $0) }
            #expect(count <= repaired.utf8.count && (count > 0) == (length > 0))
        }
    }
}

extension SeededGenerator {
    /// Up to `longest` characters of one alphabet, sometimes with what longer tokens are among them.
    mutating func noise(_ longest: Int) -> String {
        let alphabets = [
            "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "etaoinsrh", "ab", "0123456789abcdef",
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/", "!#$%&()*+,-./:;<=>?@[]^_{|}~",
            "éàßñçøü", "中文字符语言",
            "привет",
        ]
        let alphabet = Array(alphabets.randomElement(using: &self)!)
        let words = ["tion", "ability", "strings", "aaaaaaaa", "--------------------------------", "International"]
        let hasWords = Bool.random(using: &self)
        return (0..<Int.random(in: 1...longest, using: &self)).map { _ in
            hasWords && next() % 16 == 0
                ? words.randomElement(using: &self)! : String(alphabet.randomElement(using: &self)!)
        }.joined()
    }

    /// Some words, signs and white space of several scripts.
    mutating func text() -> String {
        let atoms = [
            "the", " of", "HTTP", "'s", "'LL", " ", "  ", "\n", "\r\n", "\t", "12", "½", "é", "中文", "ไทย", "हिन्", "👩‍👩‍👧",
            "/", "…", "ǅ", "\u{301}", "ſ",
        ]
        return (0..<Int.random(in: 1..<40, using: &self)).map { _ in atoms.randomElement(using: &self)! }.joined()
    }
}
