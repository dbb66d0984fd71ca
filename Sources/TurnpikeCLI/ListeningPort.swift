import Glibc
import NIOCore
import TurnpikeRuntime

/// Whether an address can be listened on, asked before anything else is begun.
enum ListeningPort {
    /// Throws a sentence that names `setting` if not, or `hostSetting` if it is the host's. Port 0, any free one, always
    /// can.
    ///
    /// The address is bound and not listened on: who connects meanwhile is refused, and not taken by somebody who does not
    /// answer.
    static func check(_ host: String, _ port: Int, _ setting: String, host hostSetting: String? = nil) throws {
        guard port != 0 else { return }
        guard let address = try? SocketAddress.makeAddressResolvingHost(host, port: port) else {
            throw CommandFailure("\(host) is no name or address that is known here (\(hostSetting ?? setting))")
        }
        let family = address.protocol == .inet6 ? AF_INET6 : AF_INET
        let descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw failure(host, port, setting) }
        defer { close(descriptor) }
        var one: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        let bound = address.withSockAddr { bind(descriptor, $0, socklen_t($1)) }
        guard bound == 0 else {
            throw failure(host, port, errno == EADDRNOTAVAIL ? hostSetting ?? setting : setting)
        }
    }

    /// What the last call to the system said.
    private static func failure(_ host: String, _ port: Int, _ setting: String) -> CommandFailure {
        CommandFailure("\(ServerSettings.Endpoint(host: host, port: port)) \(reason(errno)) (\(setting))")
    }

    private static func reason(_ code: Int32) -> String {
        switch code {
        case EADDRINUSE: "is in use: choose another port"
        case EADDRNOTAVAIL: "is no address of this machine"
        case EACCES: "may not be listened on by this user: choose a port from 1024 on"
        default: "cannot be listened on: \(String(cString: strerror(code)))"
        }
    }
}
