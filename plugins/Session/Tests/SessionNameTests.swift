import Testing

@testable import SessionPlugin

@Suite struct SessionNameTests {
    @Test(arguments: ["a", "naïve 🙂", String(repeating: "x", count: 200)])
    func aPrintableTextIsAName(_ text: String) throws {
        #expect(try SessionName.check(text, "id") == text)
    }

    @Test(arguments: ["", "a\u{7F}", "\u{85}", "a\r\n", String(repeating: "é", count: 101)])
    func whatIsEmptyLongOrNotPrintableIsRefused(_ text: String) {
        #expect { try SessionName.check(text, "id") } throws: { error in
            "\(error)".hasPrefix("invalid_session_id") && !"\(error)".contains("é")
        }
    }
}
