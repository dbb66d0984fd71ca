import NIOCore
import OpenAIWire
import Testing

@Suite struct JSONObjectTests {
    private func object(_ text: String) throws -> JSONObject {
        try JSONObject(scanning: ByteBuffer(string: text))
    }

    @Test func readsValuesOfEveryKind() throws {
        let object = try object(
            #" { "s" : "a\"\\\/\n\u00e9\ud83d\ude00" , "i":-12,"d":1.5e3,"t":true,"f":false,"n":null,"o":{"a":[1]},"l":[1, "x" ,{}]} "#
        )
        #expect(object["s"]?.string == "a\"\\/\né😀")
        #expect(object["i"]?.int == -12)
        #expect(object["d"]?.double == 1500)
        #expect(object["d"]?.int == 1500)
        #expect(object["t"]?.bool == true)
        #expect(object["f"]?.bool == false)
        #expect(object["n"]?.isNull == true)
        #expect(object.nonNull("n") == nil)
        #expect(try object["o"]?.object()?["a"]?.bytes.utf8Text == "[1]")
        #expect(try object["l"]?.array()?.map(\.bytes.utf8Text) == ["1", #""x""#, "{}"])
        #expect(object["missing"] == nil)
        #expect(object["s"]?.int == nil)
        #expect(object.all.map(\.key) == ["s", "i", "d", "t", "f", "n", "o", "l"])
    }

    @Test func givesASliceOfTheTextForAStringWithoutEscapes() throws {
        let value = try #require(try object(#"{"a":"héllo","b":"x\ty"}"#)["a"])
        #expect(value.text?.utf8Text == "héllo")
        #expect(try object(#"{"b":"x\ty"}"#)["b"]?.text?.utf8Text == "x\ty")
    }

    @Test func replacesLoneSurrogatesAndRefusesBadEscapes() throws {
        #expect(try object(#"{"a":"x\ud83dy"}"#)["a"]?.string == "x\u{FFFD}y")
        #expect(try object(#"{"a":"\ude00\ud83d\ud83d\ude00"}"#)["a"]?.string == "\u{FFFD}\u{FFFD}😀")
        #expect(try object(#"{"a":"\q"}"#)["a"]?.string == nil)
        #expect(try object(#"{"a":"\u12"}"#)["a"]?.string == nil)
    }

    @Test func findsAKeyThatIsWrittenWithEscapes() throws {
        let object = try object(#"{"mod\u0065l":"a","\u006dodel2":1}"#)
        #expect(object["model"]?.string == "a")
        #expect(object["model2"]?.int == 1)
        #expect(
            object.edited([.set("model", ByteBuffer(string: "7"))]).utf8Text == #"{"mod\u0065l":7,"\u006dodel2":1}"#)
    }

    @Test func readsTheLastOfRepeatedKeysAndEditsAllOfThem() throws {
        let object = try object(#"{"a":1,"b":2,"a":3,"\u0061":4}"#)
        #expect(object["a"]?.int == 4)
        #expect(object.edited([.replace("a", ByteBuffer(string: "0"))]).utf8Text == #"{"a":0,"b":2,"a":0,"\u0061":0}"#)
        #expect(object.edited([.remove("a")]).utf8Text == #"{"b":2}"#)
    }

    @Test(arguments: [
        ("a", #"{ "b" : 2 , "c" : 3 }"#), ("b", #"{ "a" : 1 , "c" : 3 }"#), ("c", #"{ "a" : 1 , "b" : 2 }"#),
        ("d", #"{ "a" : 1 , "b" : 2 , "c" : 3 }"#),
    ])
    func removesAMemberAndLeavesTheRestAsItIs(key: String, expected: String) throws {
        #expect(try object(#"{ "a" : 1 , "b" : 2 , "c" : 3 }"#).edited([.remove(key)]).utf8Text == expected)
    }

    @Test func appendsMembersAlsoToAnEmptyObject() throws {
        let value = ByteBuffer(string: "true")
        #expect(try object("{}").edited([.set("x", value)]).utf8Text == #"{"x":true}"#)
        #expect(try object(" {\n} ").edited([.insert("x\"", value)]).utf8Text == " {\"x\\\"\":true\n} ")
        #expect(
            try object(#"{"a":1 }"#).edited([.set("x", elements: [value, value])]).utf8Text
                == #"{"a":1,"x":[true,true] }"#)
        #expect(try object(#"{"a":1}"#).edited([.remove("a"), .insert("b", value)]).utf8Text == #"{"b":true}"#)
    }

    @Test func doesNothingForEditsThatDoNotApply() throws {
        let text = #"{"a":1}"#
        let value = ByteBuffer(string: "2")
        let edited = try object(text).edited([.insert("a", value), .replace("b", value), .remove("c")])
        #expect(edited.utf8Text == text)
    }

    @Test func letsTheLastOfSeveralEditsOfOneKeyCount() throws {
        let (one, two) = (ByteBuffer(string: "1"), ByteBuffer(string: "2"))
        #expect(try object(#"{"a":0}"#).edited([.set("a", one), .set("a", two)]).utf8Text == #"{"a":2}"#)
        #expect(try object("{}").edited([.set("a", one), .set("a", two)]).utf8Text == #"{"a":2}"#)
        #expect(try object("{}").edited([.set("a", one), .remove("a")]).utf8Text == "{}")
    }

    @Test(arguments: [
        "", " ", "[]", "1", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{,}", "{\"a\" 1}",
        "{a:1}",
        "{\"a\":1}x", "{\"a\":tru}", "{\"a\":01}", "{\"a\":1.}", "{\"a\":-}", "{\"a\":1e}", "{\"a\":\"x}",
        "{\"a\":\"x\\\"}",
        "{\"a\":[1}", "{\"a\":nul", "{\"a\":+1}", "{\"a\":.5}", "\u{FEFF}{}", "{\"a\":1\0}", "{\"a\":\0}",
    ])
    func refusesWhatIsNoObject(text: String) throws {
        #expect(throws: WireError.self) { _ = try object(text) }
    }

    @Test func saysWhereTheGrammarIsBrokenAndShowsNoContent() throws {
        let error = try #require(throws: WireError.self) { _ = try object(#"{"secret":"value" "b":1}"#) }
        #expect(error.position == 18)
        #expect(error.description == "invalid JSON at byte 18: expected ',' or '}'.")
        #expect(error.inside("messages[1]").param == "messages[1]")
    }

    @Test func copesWithHostileNestingAndRunsOfEscapes() throws {
        let open = ByteBuffer(string: #"{"a":"# + String(repeating: "[", count: 1_000_000))
        let error = try #require(throws: WireError.self) { _ = try JSONObject(scanning: open) }
        #expect(error.exceedsLimit)
        let slashes = String(repeating: #"\\"#, count: 500_000)
        #expect(try object(#"{"a":"\#(slashes)","b":1}"#)["b"]?.int == 1)
        let quotes = String(repeating: #"\""#, count: 500_000)
        #expect(try object(#"{"a":"\#(quotes)","b":1}"#)["b"]?.int == 1)
        #expect(throws: WireError.self) { _ = try object(#"{"a":"\#(slashes)\"}"#) }
    }

    @Test func boundsTheNumberOfMembersAndElements() throws {
        let many = repeatElement(#""":0"#, count: 300_000).joined(separator: ",")
        let error = try #require(throws: WireError.self) { _ = try object("{\(many)}") }
        #expect(error.exceedsLimit)
        let elements = repeatElement("0", count: 300_000).joined(separator: ",")
        #expect(throws: WireError.self) { _ = try JSONArray.elements(of: ByteBuffer(string: "[\(elements)]")) }
    }

    @Test(arguments: ["", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1]]", "{}"])
    func refusesWhatIsNoArray(text: String) {
        #expect(throws: WireError.self) { _ = try JSONArray.elements(of: ByteBuffer(string: text)) }
    }

    @Test func readsAnArrayWithWhiteSpaceAndAnEmptyOne() throws {
        #expect(try JSONArray.elements(of: ByteBuffer(string: " [ 1 , [2,3] , \"]\" ] ")).count == 3)
        #expect(try JSONArray.elements(of: ByteBuffer(string: "[ ]")).isEmpty)
        let joined = JSONArray.joining([ByteBuffer(string: "1"), ByteBuffer(string: "{}")])
        #expect(joined.utf8Text == "[1,{}]")
    }

    @Test func keepsOffsetsRightInABufferThatDoesNotBeginAtItsStart() throws {
        var buffer = ByteBuffer(string: #"xxxx{"a":"b"}"#)
        buffer.moveReaderIndex(forwardBy: 4)
        let object = try JSONObject(scanning: buffer)
        #expect(object["a"]?.string == "b")
        #expect(object.edited([.replace("a", ByteBuffer(string: "1"))]).utf8Text == #"{"a":1}"#)
    }

    @Test(arguments: [
        (#"mod\u0065l"#, "model"), (#"\u006D\u006f\u0064\u0065\u006C"#, "model"), (#"a\/b"#, "a/b"), (#"\u00e9"#, "é"),
        (#"\n\t\b\f\r\"\\"#, "\n\t\u{8}\u{c}\r\"\\"), (#"\ud83d\ude00!"#, "😀!"), (#"x\ud83d"#, "x\u{FFFD}"),
    ])
    func findsAKeyThatIsWrittenWithEscapes(written: String, key: String) throws {
        let object = try object(#"{"\#(written)":1}"#)
        #expect(object[key]?.int == 1)
        for other in [String(key.dropLast()), key + "x", "x" + key] { #expect(object[other] == nil) }
        #expect(object.edited([.remove(key)]).utf8Text == "{}")
    }

    @Test(arguments: [#"model\u00"#, #"mode\x6c"#, #"mode\u006g"#])
    func aKeyWithABrokenEscapeIsNoOther(written: String) throws {
        #expect(try object(#"{"\#(written)":1}"#)["model"] == nil)
    }

    @Test func writesAndEscapesObjectsOfOurOwn() throws {
        let json = JSONWriter.object { json in
            json.member("text", "a\"\\\n\u{1}\u{1F}é")
            json.member("none", String?.none)
            json.member("int", 3)
            json.member("double", 0.5)
            json.member("infinite", Double.infinity)
            json.member("bool", true)
            json.object("o") { $0.member("raw", json: ByteBuffer(string: "[1]")) }
            json.array("l") { list in
                list.element("x")
                list.element(2)
                list.element(object: { _ in })
            }
        }
        #expect(
            json.utf8Text
                == #"{"text":"a\"\\\n\u0001\u001fé","none":null,"int":3,"double":0.5,"infinite":null,"bool":true,"#
                + #""o":{"raw":[1]},"l":["x",2,{}]}"#)
        try JSON.validate(json)
    }
}
