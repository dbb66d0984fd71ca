/// Connections that wait for a request, by origin; the one that was used last comes first, so that the others grow old.
struct IdleConnections<Connection: AnyObject> {
    private var byOrigin: [PlainTarget.Origin: [Connection]] = [:]
    private(set) var count = 0

    var all: [Connection] { byOrigin.values.flatMap { $0 } }

    mutating func put(_ connection: Connection, _ origin: PlainTarget.Origin) {
        byOrigin[origin, default: []].append(connection)
        count += 1
    }

    mutating func take(_ origin: PlainTarget.Origin) -> Connection? {
        guard let connection = byOrigin[origin]?.popLast() else { return nil }
        count -= 1
        return connection
    }

    mutating func remove(_ connection: Connection, _ origin: PlainTarget.Origin) {
        guard let index = byOrigin[origin]?.lastIndex(where: { $0 === connection }) else { return }
        byOrigin[origin]?.remove(at: index)
        count -= 1
    }
}
