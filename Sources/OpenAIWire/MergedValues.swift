import NIOCore

/// JSON values that arrive in pieces, merged as the deltas of a stream are: texts are joined, objects are merged
/// member by member, lists element by element where the elements carry an `index`, and appended to otherwise.
///
/// The values lie in one array and refer to each other by position, so that a text grows in place. Texts are kept
/// escaped, as they came: joining two JSON strings needs no decoding, and a surrogate pair that was split over two
/// deltas is whole again.
struct MergedValues: Sendable {
    /// A position in `nodes`.
    typealias Reference = Int

    enum Shape {
        /// Nothing but null was seen.
        case null
        /// A string: `text` is its escaped inside.
        case string
        /// A number, a boolean or a value that is not merged: `text` is its JSON.
        case raw
        case object
        case array
    }

    struct Child {
        /// The member's key, unescaped; empty for an element.
        var key: [UInt8]
        /// The element's `index`, -1 for one that carries none.
        var index: Int
        var node: Reference
    }

    struct Node {
        var shape = Shape.null
        var text: [UInt8] = []
        var children: [Child] = []
    }

    /// How a string that comes again is treated.
    enum Joining {
        /// Text: pieces are joined.
        case append
        /// An identifier: the first that is not empty stays.
        case keepFirst
        /// A name: joined, but one that comes again as a whole stays as it is.
        case complete
        /// Not kept: an assistant's audio samples, which nobody may send back.
        case drop
    }

    private static let maximumChildren = 256
    private static let maximumDepth = 8
    /// What a node takes beside its text, in bytes; counted so that many tiny values are bounded too.
    private static let nodeCost = 128

    private(set) var nodes: [Node] = []
    private var remaining: Int
    private let limit: Int
    /// Set when text that is not an identifier, or a list's element, was added.
    private(set) var grew = false

    /// - Parameter limit: the most bytes to keep.
    init(limit: Int) {
        self.limit = limit
        remaining = limit
    }

    mutating func makeNode() throws(WireError) -> Reference {
        try spend(Self.nodeCost)
        nodes.append(Node())
        return nodes.count - 1
    }

    mutating func forgetGrowth() {
        grew = false
    }

    /// Bytes that are kept, a fixed cost for each value included.
    var keptBytes: Int { limit - remaining }

    private mutating func spend(_ count: Int) throws(WireError) {
        guard count <= remaining else { throw .tooLarge("bytes in one answer", limit: limit) }
        remaining -= count
    }
}

// MARK: - Merging

extension MergedValues {
    /// Merges the value under the scanner's position, which is valid JSON, into `node` and moves behind it.
    mutating func merge(
        _ scanner: inout JSONScanner, into node: Reference, joining: Joining = .append, key: [UInt8] = [],
        depth: Int = 0
    ) throws(WireError) {
        let start = scanner.position
        switch scanner.current {
        case ASCII.quote:
            let inside = try scanner.skipString()
            try merge(string: scanner.bytes.slice(inside), into: node, joining)
        case ASCII.openBrace where depth < Self.maximumDepth:
            become(.object, node)
            try mergeMembers(&scanner, into: node, of: key, depth)
        case ASCII.openBracket where depth < Self.maximumDepth:
            become(.array, node)
            try mergeElements(&scanner, into: node, depth)
        default:
            let kind = try scanner.skipValue()
            guard kind != .null else { return }
            try setRaw(scanner.bytes.slice(start..<scanner.position), node)
        }
    }

    /// A value of another shape than before replaces what was there; the two cannot be merged.
    private mutating func become(_ shape: Shape, _ node: Reference) {
        guard nodes[node].shape != shape else { return }
        nodes[node] = Node(shape: shape)
    }

    private mutating func merge(string: UnsafeRawBufferPointer, into node: Reference, _ joining: Joining)
        throws(WireError)
    {
        become(.string, node)
        guard !string.isEmpty else { return }
        switch joining {
        case .append:
            grew = true
        case .drop:
            return
        case .keepFirst:
            guard nodes[node].text.isEmpty else { return }
        case .complete:
            guard !nodes[node].text.elementsEqual(string) else { return }
        }
        try spend(string.count)
        nodes[node].text.append(contentsOf: string)
    }

    private mutating func setRaw(_ json: UnsafeRawBufferPointer, _ node: Reference) throws(WireError) {
        become(.raw, node)
        try spend(max(0, json.count - nodes[node].text.count))
        nodes[node].text.removeAll(keepingCapacity: true)
        nodes[node].text.append(contentsOf: json)
    }

    private mutating func mergeMembers(
        _ scanner: inout JSONScanner, into node: Reference, of parent: [UInt8], _ depth: Int
    ) throws(WireError) {
        var isFirst = true
        try scanner.enterObject()
        while let key = try scanner.nextKey(&isFirst) {
            let joining = Self.joining(scanner.bytes.slice(key), in: parent)
            if joining == .drop {
                try scanner.skipValue()
                grew = true
                continue
            }
            let position = try child(of: node, key: scanner.bytes.slice(key))
            let child = nodes[node].children[position]
            try merge(&scanner, into: child.node, joining: joining, key: child.key, depth: depth + 1)
        }
    }

    private static func joining(_ key: UnsafeRawBufferPointer, in parent: [UInt8]) -> Joining {
        switch key.count {
        case 2 where key.equals("id", in: 0..<2), 4 where key.equals("type", in: 0..<4),
            4 where key.equals("role", in: 0..<4), 6 where key.equals("format", in: 0..<6):
            .keepFirst
        case 4 where key.equals("name", in: 0..<4): .complete
        case 4 where key.equals("data", in: 0..<4) && parent.elementsEqual("audio".utf8): .drop
        default: .append
        }
    }

    /// The position among the children of `node` of the one with `key`, made where it is missing.
    private mutating func child(of node: Reference, key: UnsafeRawBufferPointer) throws(WireError) -> Int {
        let isEscaped = key.contains(ASCII.backslash, in: 0..<key.count)
        guard !isEscaped else {
            let name = JSONText.unescaped(key) ?? []
            if let found = nodes[node].children.firstIndex(where: { $0.key == name }) { return found }
            return try add(Child(key: name, index: -1, node: try makeNode()), to: node)
        }
        if let found = nodes[node].children.firstIndex(where: { $0.key.elementsEqual(key) }) { return found }
        return try add(Child(key: Array(key), index: -1, node: try makeNode()), to: node)
    }

    private mutating func add(_ child: Child, to node: Reference) throws(WireError) -> Int {
        guard nodes[node].children.count < Self.maximumChildren else {
            throw .tooLarge("members or elements in one answer", limit: Self.maximumChildren)
        }
        try spend(child.key.count)
        nodes[node].children.append(child)
        return nodes[node].children.count - 1
    }
}

// MARK: - Lists

extension MergedValues {
    private mutating func mergeElements(
        _ scanner: inout JSONScanner, into node: Reference, _ depth: Int
    ) throws(WireError) {
        var isFirst = true
        var ordinal = 0
        try scanner.enterArray()
        while try scanner.nextElement(&isFirst) {
            let start = scanner.position
            let identity = try ElementIdentity(&scanner)
            grew = true
            if let position = try position(of: identity, ordinal, in: node) {
                var element = JSONScanner(scanner.bytes, at: start)
                try merge(&element, into: nodes[node].children[position].node, depth: depth + 1)
            } else {
                try appendElement(scanner.bytes.slice(start..<scanner.position), to: node)
            }
            ordinal += 1
        }
    }

    /// Elements without identity are kept as they came, in one text with commas: a list of log probabilities has one
    /// element for each token.
    private mutating func appendElement(_ json: UnsafeRawBufferPointer, to node: Reference) throws(WireError) {
        try spend(json.count + 1)
        if !nodes[node].text.isEmpty { nodes[node].text.append(ASCII.comma) }
        nodes[node].text.append(contentsOf: json)
    }

    /// Where an element is merged: by its `index`; a tool call without one, as some providers send them, by its id, or
    /// with the call that was begun last. Nil for elements that are only collected.
    private mutating func position(
        of identity: ElementIdentity, _ ordinal: Int, in node: Reference
    ) throws(WireError) -> Int? {
        let children = nodes[node].children
        if let index = identity.index {
            if let found = children.lastIndex(where: { $0.index == index }), !begins(identity, after: children[found]) {
                return found
            }
            return try add(Child(key: [], index: index, node: try makeNode()), to: node)
        }
        guard identity.isToolCall else { return nil }
        if let id = identity.id {
            if let known = children.firstIndex(where: { self.id(of: $0) == id }) { return known }
        } else if !children.isEmpty {
            return children.count - 1
        }
        return try add(Child(key: [], index: children.count, node: try makeNode()), to: node)
    }
}

extension MergedValues {
    /// Whether an element is another tool call although its index is taken: some providers give all of them index 0.
    /// It names its function; a new id alone is what others make up for every delta of one call.
    private func begins(_ identity: ElementIdentity, after child: Child) -> Bool {
        guard identity.isNamed, let id = identity.id, let known = self.id(of: child) else { return false }
        return !known.isEmpty && known != id
    }

    private func id(of child: Child) -> [UInt8]? {
        member("id", of: child.node).map { nodes[$0].text }
    }
}
