import Persistence
import Synchronization
import Testing

@Suite("UniqueID") struct UniqueIDTests {
    @Test func printsAndParsesBothForms() throws {
        let id = try #require(UniqueID(bytes: Array(0..<16)))
        #expect(id.uuidString == "00010203-0405-0607-0809-0a0b0c0d0e0f")
        #expect(id.description(prefix: "sess_") == "sess_000102030405060708090a0b0c0d0e0f")
        #expect(UniqueID(id.uuidString, prefix: "sess_") == id)
        #expect(UniqueID(id.uuidString.uppercased()) == id)
        #expect(UniqueID(id.description(prefix: "sess_"), prefix: "sess_") == id)
        #expect(UniqueID("000102030405060708090a0b0c0d0e0f") == id)
        #expect(id.bytes == Array(0..<16))
    }

    @Test(arguments: [
        "", "x", "sess_", "sess_00010203-0405-0607-0809-0a0b0c0d0e0f", "key_000102030405060708090a0b0c0d0e0f",
        "000102030405060708090a0b0c0d0e0", "000102030405060708090a0b0c0d0e0g", "00010203-0405-0607-0809-0a0b0c0d0e0",
        "00010203x0405-0607-0809-0a0b0c0d0e0f", "000102030405060708090a0b0c0d0eé",
        "----00010203040506070809----0a0b0c0d0e",
    ])
    func refusesWhatIsNoIdentifier(_ text: String) {
        #expect(UniqueID(text, prefix: "sess_") == nil)
    }

    @Test func isAUUIDOfVersion7OfNow() throws {
        let before = Timestamp.now().microseconds / 1_000
        let id = UniqueIDGenerator(now: Timestamp.now).next()
        let after = Timestamp.now().microseconds / 1_000
        let digits = Array(id.uuidString)
        #expect(digits[14] == "7")
        #expect("89ab".contains(digits[19]))
        let millisecond = Int64(id.bytes.prefix(6).reduce(0) { $0 << 8 | UInt64($1) })
        #expect(millisecond >= before && millisecond <= after)
    }

    @Test func growsStrictlyWhateverTheClockDoes() {
        let clock = Mutex([5_000, 5_000, 4_000, 9_000, 1] as [Int64])
        let generator = UniqueIDGenerator {
            Timestamp(microseconds: clock.withLock { $0.count > 1 ? $0.removeFirst() : $0[0] })
        }
        var last = generator.next()
        for _ in 0..<20_000 {
            let next = generator.next()
            #expect(next > last)
            last = next
        }
    }

    @Test func threadsNeverShareOne() async {
        let ids = await withTaskGroup(of: [UniqueID].self) { group in
            for _ in 0..<8 { group.addTask { (0..<2_000).map { _ in UniqueID.generate() } } }
            return await group.reduce(into: Set<UniqueID>()) { $0.formUnion($1) }
        }
        #expect(ids.count == 16_000)
    }
}
