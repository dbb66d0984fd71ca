/// Connections that wait for a request, by origin; the one that was used last comes first, so that the others grow old.
///
/// A list and no dictionary: there are as many origins as configured providers, and comparing a few names costs less
/// than hashing one.
struct IdleConnections<Connection: AnyObject> {
    private var groups: [(origin: PlainTarget.Origin, connections: [Connection])] = []
    private(set) var count = 0

    var all: [Connection] { groups.flatMap(\.connections) }

    mutating func put(_ connection: Connection, _ origin: PlainTarget.Origin) {
        count += 1
        guard let index = index(of: origin) else { return groups.append((origin, [connection])) }
        groups[index].connections.append(connection)
    }

    mutating func take(_ origin: PlainTarget.Origin) -> Connection? {
        guard let index = index(of: origin), let connection = groups[index].connections.popLast() else { return nil }
        count -= 1
        return connection
    }

    mutating func remove(_ connection: Connection, _ origin: PlainTarget.Origin) {
        guard let index = index(of: origin),
            let place = groups[index].connections.lastIndex(where: { $0 === connection })
        else { return }
        groups[index].connections.remove(at: place)
        count -= 1
    }

    private func index(of origin: PlainTarget.Origin) -> Int? { groups.firstIndex { $0.origin == origin } }
}
