import TurnpikeKit

/// The targets of URLs that were asked for before: a provider's few endpoints, over and over.
///
/// One place for each length of URL (modulo their number), so that looking costs one comparison, and URLs that never
/// come back push out one other each.
struct PlainTargetCache {
    private static let places = 32
    private var entries = [(url: String, target: PlainTarget)?](repeating: nil, count: places)

    mutating func target(of request: UpstreamRequest) -> PlainTarget? {
        guard request.connection.proxy == nil else { return nil }
        let place = request.url.utf8.count % PlainTargetCache.places
        if let known = entries[place], known.url == request.url { return known.target }
        guard let target = PlainTarget.reading(request.url) else { return nil }
        entries[place] = (request.url, target)
        return target
    }
}
