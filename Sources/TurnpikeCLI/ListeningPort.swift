import Glibc
import NIOCore
import NIOPosix

/// Whether an address can be listened on, asked before anything else is begun.
enum ListeningPort {
    /// Throws a sentence that names `setting` if not. Port 0, any free one, always can.
    static func check(_ host: String, _ port: Int, _ setting: String) async throws {
        guard port != 0 else { return }
        do {
            let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .bind(host: host, port: port).get()
            try await listener.close()
        } catch let error as IOError {
            throw CommandFailure("\(host):\(port) \(reason(error.errnoCode)) (\(setting))")
        }
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
