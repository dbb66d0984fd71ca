import Testing
import Tokens

struct TokenizerTests {
    @Test func countsAPhraseAsTheModelsDo() {
        #expect(Tokenizer(.cl100k).ids("hello world") == [15339, 1917])
        #expect(Tokenizer(.o200k).ids("hello world") == [24912, 2375])
    }

    @Test(arguments: TokenEncoding.allCases)
    func anEmptyTextHasNoTokens(_ encoding: TokenEncoding) {
        #expect(Tokenizer(encoding).count("") == 0)
    }
}
