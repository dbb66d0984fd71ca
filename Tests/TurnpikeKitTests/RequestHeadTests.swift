import NIOHTTP1
import Testing

@testable import TurnpikeKit

@Suite struct RequestHeadTests {
    private func head(_ target: String) -> RequestHead { RequestHead(method: .GET, target: target) }

    @Test(
        arguments: [
            ("/a/b", "/a/b", nil), ("/a%2Fb?x=1?y", "/a%2Fb", "x=1?y"), ("/?", "/", ""), ("", "", nil), ("?q", "", "q"),
        ] as [(String, String, String?)])
    func aTargetIsAPathAndAQuery(target: String, path: String, query: String?) {
        #expect(head(target).path == path)
        #expect(head(target).query.map { String($0) } == query)
    }

    @Test(
        arguments: [
            ("/?a=1&b=2", "b", "2"), ("/?a=1&a=2", "a", "1"), ("/?a", "a", ""), ("/?a=", "a", ""),
            ("/?a=b=c", "a", "b=c"),
            ("/?a=x+y%20z%2B", "a", "x y z+"), ("/?%61=1", "a", "1"), ("/?a=%C3%A9", "a", "é"), ("/?&&a=1&", "a", "1"),
            ("/?=1", "", "1"), ("/", "a", nil), ("/?", "a", nil), ("/?b=1", "a", nil), ("/?A=1", "a", nil),
        ] as [(String, String, String?)])
    func queryItemsAreDecodedForms(target: String, name: String, value: String?) {
        #expect(head(target).queryItem(name) == value)
    }

    @Test(
        arguments: [
            ("/?a=%", nil), ("/?a=%4", nil), ("/?a=%zz", nil), ("/?a=%FF", nil), ("/?a=%C3", nil), ("/?a=%00", "\0"),
            ("/?%=1&a=2", "2"), ("/?a=%E2%82", nil),
            // A combining mark makes one character with the separator before it; the bytes are what counts.
            ("/?b=1&\u{301}&a=2", "2"), ("/?a=\u{301}", "\u{301}"), ("/?x=1&a=\u{301}b&c", "\u{301}b"),
        ] as [(String, String?)])
    func hostileQueriesNeverTrap(target: String, value: String?) {
        #expect(head(target).queryItem("a") == value)
    }

    @Test func everyByteIsDecodedFromItsEscape() {
        for byte in UInt8.min...UInt8.max {
            let digits = String(byte, radix: 16)
            let text = "%" + (digits.count == 1 ? "0" : "") + digits
            let expected = byte < 0x80 ? String(Character(Unicode.Scalar(byte))) : nil
            #expect(PercentEncoding.decode(text[...]) == expected)
            #expect(PercentEncoding.decode(text.uppercased()[...]) == expected)
        }
    }

    @Test func aPlusIsASpaceInFormsOnly() {
        #expect(PercentEncoding.decode("a+b") == "a+b")
        #expect(PercentEncoding.decode("a+b", plusIsSpace: true) == "a b")
    }
}
