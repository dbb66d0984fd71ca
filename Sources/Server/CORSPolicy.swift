import NIOHTTP1
import TurnpikeKit

/// Which web pages may call the API from a browser (`server.cors_origins`).
///
/// Preflights are answered here, before the chain: a browser sends them without the key.
package struct CORSPolicy: Sendable, Equatable {
    /// Origins such as `https://chat.example.com`, compared exactly; `*` alone stands for all.
    package var allowedOrigins: [String]
    /// Seconds for which a browser may remember a preflight's answer.
    package var maxAge: Int

    package init(allowedOrigins: [String], maxAge: Int = 600) {
        self.allowedOrigins = allowedOrigins
        self.maxAge = maxAge
    }

    /// What a page may read of an answer besides its body.
    private static let exposed =
        "x-turnpike-request-id, x-turnpike-history, x-turnpike-capture, x-session-id, x-total-count, x-next-cursor, "
        + "x-request-id, retry-after, retry-after-ms"

    /// The answer to a preflight, or `nil` for any other request and for origins that are not allowed.
    func preflight(_ head: RequestHead) -> Response? {
        guard head.method == .OPTIONS, let origin = head.headers.first(name: "origin"), allows(origin),
            let method = head.headers.first(name: "access-control-request-method")
        else { return nil }
        var response = Response(status: .noContent)
        response.headers.add(name: "Access-Control-Allow-Methods", value: method)
        if let headers = head.headers.first(name: "access-control-request-headers") {
            response.headers.add(name: "Access-Control-Allow-Headers", value: headers)
        }
        response.headers.add(name: "Access-Control-Max-Age", value: "\(maxAge)")
        return response
    }

    /// Adds what lets the page at `origin` read the answer. Whatever an upstream said about origins is replaced: it was
    /// not asked by the browser.
    func apply(to headers: inout HTTPHeaders, origin: String?) {
        guard let origin, allows(origin) else { return }
        headers.replaceOrAdd(name: "Access-Control-Allow-Origin", value: origin)
        headers.replaceOrAdd(name: "Access-Control-Expose-Headers", value: CORSPolicy.exposed)
        headers.add(name: "Vary", value: "Origin")
    }

    private func allows(_ origin: String) -> Bool {
        allowedOrigins.contains(origin) || allowedOrigins == ["*"]
    }
}
