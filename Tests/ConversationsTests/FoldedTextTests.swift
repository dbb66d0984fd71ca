import Conversations
import Testing

/// Texts are found without regard to case, in linear time.
struct FoldedTextTests {
    @Test(arguments: [
        ("ABAB", "xababx"), ("abac", "ababac"), ("straße", "STRASSE"), ("ΣΊΣΥΦΟΣ", "σίσυφος"), ("%", "100 %"),
        ("e\u{301}", "CAF\u{C9}"), ("", ""), ("aab", "aaaab"),
    ])
    func finds(_ text: String, in other: String) {
        #expect(FoldedText(text).isContained(in: other))
    }

    @Test(arguments: [("aab", "aaaa"), ("%", "100"), ("e", "CAF\u{C9}"), ("a", "")])
    func doesNotFind(_ text: String, in other: String) {
        #expect(!FoldedText(text).isContained(in: other))
    }

    @Test func findsWhatAComparisonPlaceByPlaceFinds() {
        for needle in 1..<64 {
            for hay in 0..<64 {
                let text = String(needle, radix: 2)
                let other = String(hay, radix: 2) + String(hay &* 37 % 64, radix: 2)
                #expect(FoldedText(text).isContained(in: other) == other.contains(text))
            }
        }
    }

    @Test(.timeLimit(.minutes(1))) func takesLinearTimeForWhatIsAlmostThereEverywhere() {
        let needle = String(repeating: "a", count: 999) + "b"
        #expect(!FoldedText(needle).isContained(in: String(repeating: "a", count: 4 << 20)))
        #expect(!FoldedText("é" + needle).isContained(in: String(repeating: "e\u{301}a", count: 1 << 18)))
    }
}
