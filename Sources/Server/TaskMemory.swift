/// Room for the frames of an exchange's steps, taken in one piece.
///
/// The runtime gives a task memory in blocks of about a kilobyte, and the steps of a chain that wait for an answer fill
/// some eighteen of them: as many calls of malloc and free per exchange, beyond what it keeps at hand for a thread. A
/// frame that is larger than a block gets a block of its own size, and a block that has become free is used for the
/// frames that follow. So a large frame that is entered and left at once makes one block of what would be eighteen.
enum TaskMemory {
    /// What the default chain takes. Frames beyond it get further blocks.
    private typealias Block = InlineArray<1_800, UInt64>

    /// Call it first in a task: only there nobody can have cancelled it.
    @inline(never) static func reserve() async {
        // The frame has its size whichever way is taken; filling it is for a task that is cancelled anyway.
        guard Task.isCancelled else { return }
        var block = Block(repeating: 0)
        await touch(&block)
    }

    /// What a function that may suspend is given by reference lies in its caller's frame.
    @inline(never) private static func touch(_ block: inout Block) async { block[0] += 1 }
}
