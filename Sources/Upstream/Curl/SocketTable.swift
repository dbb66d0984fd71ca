import CCurl
import Glibc

/// Which of libcurl's sockets are watched for what.
///
/// A socket that libcurl no longer asks about stays registered, since its connection's next request will ask for the
/// same: that saves two system calls per request. When something happens to it in between (the upstream closed it),
/// it is taken out, or a level-triggered epoll would report it for ever.
struct SocketTable {
    private struct Entry {
        /// What epoll watches for; 0 means it does not know the socket.
        var registered: UInt32 = 0
        /// What libcurl wants to hear about.
        var wanted: UInt32 = 0
    }

    private let poller: Poller
    /// By descriptor.
    private var entries: [Entry] = []

    init(poller: Poller) { self.poller = poller }

    /// libcurl's socket callback; `what` is one of `CURL_POLL_…`.
    mutating func watch(_ socket: Int32, _ what: Int32) {
        let index = Int(socket)
        if index >= entries.count {
            entries.append(contentsOf: repeatElement(Entry(), count: index + 64 - entries.count))
        }
        let wanted = SocketTable.bits(what)
        entries[index].wanted = wanted
        guard wanted != 0, entries[index].registered != wanted else { return }
        poller.change(socket, to: wanted, isRegistered: entries[index].registered != 0)
        entries[index].registered = wanted
    }

    /// The socket is about to be closed.
    mutating func forget(_ socket: Int32) {
        guard entries.indices.contains(Int(socket)) else { return }
        if entries[Int(socket)].registered != 0 { poller.remove(socket) }
        entries[Int(socket)] = Entry()
    }

    /// What libcurl is told about an event (`CURL_CSELECT_…` bits); `nil` when it did not ask.
    mutating func action(for event: Poller.Event) -> Int32? {
        let index = Int(event.descriptor)
        guard entries.indices.contains(index) else { return nil }
        guard entries[index].wanted != 0 else {
            poller.remove(event.descriptor)
            entries[index].registered = 0
            return nil
        }
        var action: Int32 = 0
        if event.bits & (EPOLLIN.rawValue | EPOLLHUP.rawValue) != 0 { action |= CURL_CSELECT_IN }
        if event.bits & EPOLLOUT.rawValue != 0 { action |= CURL_CSELECT_OUT }
        if event.bits & EPOLLERR.rawValue != 0 { action |= CURL_CSELECT_ERR }
        return action
    }

    private static func bits(_ what: Int32) -> UInt32 {
        switch what {
        case CURL_POLL_IN: EPOLLIN.rawValue
        case CURL_POLL_OUT: EPOLLOUT.rawValue
        case CURL_POLL_INOUT: EPOLLIN.rawValue | EPOLLOUT.rawValue
        default: 0
        }
    }
}
