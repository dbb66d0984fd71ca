/// A bounded map from fingerprints to values with second-chance ("clock") eviction: what was used since the hand last
/// passed stays, so a flood of keys that are seen once does not push out those in use.
struct KeyCache<Value> {
    private struct Slot {
        var fingerprint: Fingerprint
        var value: Value
        var storedAt: UInt64
        var wasUsed: Bool
    }

    let capacity: Int
    private var slots: [Slot] = []
    private var positions: [Fingerprint: Int] = [:]
    private var hand = 0

    init(capacity: Int) {
        precondition(capacity > 0, "A cache has room for something.")
        self.capacity = capacity
    }

    var count: Int { slots.count }

    /// The value and when it was stored, marked as used.
    mutating func find(_ fingerprint: Fingerprint) -> (value: Value, storedAt: UInt64)? {
        guard let position = positions[fingerprint] else { return nil }
        slots[position].wasUsed = true
        return (slots[position].value, slots[position].storedAt)
    }

    /// The first `limit` of those that fit, in no order. None of them counts as used.
    func first(_ limit: Int, where fits: (Value) -> Bool) -> [(fingerprint: Fingerprint, value: Value)] {
        var found: [(fingerprint: Fingerprint, value: Value)] = []
        for slot in slots where fits(slot.value) {
            guard found.count < limit else { break }
            found.append((slot.fingerprint, slot.value))
        }
        return found
    }

    /// Changes a value in its place: when it was stored, and whether it was used, stays. Nothing is done if it is gone.
    mutating func update(_ fingerprint: Fingerprint, _ change: (inout Value) -> Void) {
        guard let position = positions[fingerprint] else { return }
        change(&slots[position].value)
    }

    mutating func store(_ value: Value, for fingerprint: Fingerprint, at now: UInt64) {
        let slot = Slot(fingerprint: fingerprint, value: value, storedAt: now, wasUsed: false)
        if let position = positions[fingerprint] {
            slots[position] = slot
        } else if slots.count < capacity {
            positions[fingerprint] = slots.count
            slots.append(slot)
        } else {
            let position = victim()
            positions[slots[position].fingerprint] = nil
            positions[fingerprint] = position
            slots[position] = slot
        }
    }

    mutating func remove(_ fingerprint: Fingerprint) {
        guard let position = positions.removeValue(forKey: fingerprint) else { return }
        let last = slots.removeLast()
        if position < slots.count {
            slots[position] = last
            positions[last.fingerprint] = position
        }
        if hand >= slots.count { hand = 0 }
    }

    mutating func removeAll() {
        slots = []
        positions = [:]
        hand = 0
    }

    /// Ends after two rounds at the latest: the first one clears every mark.
    private mutating func victim() -> Int {
        while slots[hand].wasUsed {
            slots[hand].wasUsed = false
            hand = (hand + 1) % capacity
        }
        defer { hand = (hand + 1) % capacity }
        return hand
    }
}
