package import NIOCore

/// Where a server listens, what it bounds, and how long it waits. The defaults are those of `config/turnpike.yaml`.
package struct ServerConfiguration: Sendable {
    package var address: Address
    package var limits = Limits()
    package var timeouts = Timeouts()
    /// `nil` serves plain HTTP.
    package var tls: TLSFiles?
    /// `nil`, the default, leaves cross-origin requests to the chain and adds no header.
    package var cors: CORSPolicy?

    package init(address: Address) { self.address = address }

    /// What the listening socket is bound to.
    package enum Address: Sendable, Equatable {
        /// Port 0 lets the system choose; the chosen one is told to `onListening`.
        case host(String, port: Int)
        /// A path. A socket file that an earlier process left there is replaced.
        case unixSocket(String)
    }

    /// Bounds on what clients may take.
    package struct Limits: Sendable {
        /// Bytes of one head: request line, header names and values. Beyond it: 431.
        package var headBytes = 64 << 10
        /// Header fields of one head. Beyond it: 431.
        package var headerFields = 256
        /// Bytes of one body (`server.max_body`). Beyond it: 413.
        package var bodyBytes = 32 << 20
        /// Connections served at once. A few more are told 503, the rest are closed as they come.
        package var connections = 10_000
        /// Bytes of a body nobody asked for that are read and dropped so that the connection can be used again.
        package var drainedBodyBytes = 64 << 10
        /// Bytes that wait for a slow reader before the answer's source is paused, and the level at which it resumes.
        package var writeBufferBytes = 64 << 10

        package init() {}
    }

    /// How long the server waits for a client.
    package struct Timeouts: Sendable {
        /// From a head's first byte (of the first request: from the connection) to its end. Then 408.
        package var head: TimeAmount = .seconds(10)
        /// In this time a body that somebody waits for must bring its end or another kilobyte. Then 408.
        package var body: TimeAmount = .seconds(30)
        /// Between two requests of a connection. Then it is closed.
        package var keepAlive: TimeAmount = .seconds(75)
        /// For a client that does not read its answer. Then it counts as gone.
        package var write: TimeAmount = .seconds(60)
        /// After an answer to a request that was not read to its end: the client gets this long to read the answer
        /// before the close resets the connection (RFC 9112, section 9.6).
        package var linger: TimeAmount = .seconds(2)
        /// For the upstream to end an event stream behind its `[DONE]`, so that its connection can be used again. The
        /// client does not wait for it.
        package var afterDone: TimeAmount = .seconds(1)
        /// From the shutdown's begin to the moment when running exchanges are broken off (`server.drain_timeout`).
        package var drain: TimeAmount = .seconds(30)
        /// How long exchanges that were broken off may take to store what they have.
        package var abort: TimeAmount = .seconds(5)

        package init() {}
    }

    /// PEM files of a certificate chain and its key. Read once, at the start.
    package struct TLSFiles: Sendable, Equatable {
        package var certificate: String
        package var key: String

        package init(certificate: String, key: String) {
            self.certificate = certificate
            self.key = key
        }
    }
}
