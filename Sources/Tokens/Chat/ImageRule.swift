/// How a model counts an image (OpenAI, "Images and vision", section on costs).
public enum ImageRule: Sendable, Hashable {
    /// Scaled into a square of 2,048, then to 768 on its shorter side; so much at once and for each tile of 512 by 512.
    case tiles(base: Int, tile: Int)
    /// Patches of 32 by 32, scaled down to at most 1,536 of them; hundredths of a token for each.
    case patches(hundredths: Int)

    /// What GPT-4o does.
    public static let standard = ImageRule.tiles(base: 85, tile: 170)

    /// The count of an image of `size` at full detail.
    public func count(_ size: ImageSize) -> Int {
        switch self {
        case .tiles(let base, let tile): base + tile * Self.tiles(size)
        case .patches(let hundredths): (Self.patches(size) * hundredths + 99) / 100
        }
    }

    /// The count where only little detail is wanted, whatever the size.
    public var lowDetail: Int {
        switch self {
        case .tiles(let base, _): base
        case .patches: count(ImageSize(width: 512, height: 512))
        }
    }

    /// The most that an image of any size counts.
    public var most: Int {
        switch self {
        case .tiles(let base, let tile): base + tile * 8
        case .patches(let hundredths): (Self.mostPatches * hundredths + 99) / 100
        }
    }

    private static let mostPatches = 1_536

    private static func tiles(_ size: ImageSize) -> Int {
        var (width, height) = (Double(size.width), Double(size.height))
        let fit = min(1, 2_048 / max(width, height))
        (width, height) = (width * fit, height * fit)
        let shrink = min(1, 768 / min(width, height))
        (width, height) = ((width * shrink).rounded(.down), (height * shrink).rounded(.down))
        return max(1, Int((width / 512).rounded(.up))) * max(1, Int((height / 512).rounded(.up)))
    }

    private static func patches(_ size: ImageSize) -> Int {
        let (columns, rows) = ((size.width + 31) / 32, (size.height + 31) / 32)
        let (product, overflow) = columns.multipliedReportingOverflow(by: rows)
        return overflow ? mostPatches : min(product, mostPatches)
    }
}

/// Pixels.
public struct ImageSize: Sendable, Hashable {
    public var width: Int
    public var height: Int

    public init(width: Int, height: Int) {
        self.width = max(1, width)
        self.height = max(1, height)
    }
}
