/// Memory for values on their way to the server: they lie one after the other at addresses that stay until the next
/// statement, because libmariadb reads them when it executes, not when it binds.
final class RawMemory {
    private var memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 16_384, alignment: 16)
    private var used = 0

    deinit { memory.deallocate() }

    /// Starts anew with room for `count` bytes, alignment included. What was big once is given back.
    func reset(reserving count: Int) {
        used = 0
        guard count > memory.count || (memory.count > 1 << 20 && count < 1 << 16) else { return }
        memory.deallocate()
        memory = .allocate(byteCount: max(16_384, count), alignment: 16)
    }

    /// The next `count` elements.
    func take<Element: BitwiseCopyable>(_ count: Int, of type: Element.Type) -> UnsafeMutablePointer<Element> {
        let start = (used + 7) & ~7
        used = start + count * MemoryLayout<Element>.stride
        precondition(used <= memory.count, "the memory was reserved before")
        // `memory` has at least one byte, so it has an address.
        return memory.baseAddress.unsafelyUnwrapped.advanced(by: start).bindMemory(to: type, capacity: max(count, 1))
    }

    /// The bytes `take` needs at most for `count` elements.
    static func size<Element: BitwiseCopyable>(_ count: Int, of type: Element.Type) -> Int {
        count * MemoryLayout<Element>.stride + 8
    }
}
