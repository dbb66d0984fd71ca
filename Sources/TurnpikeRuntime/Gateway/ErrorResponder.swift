import NIOCore
import NIOHTTP1
import OpenAIWire
import TurnpikeKit

/// The one place where an error becomes HTTP, or the end of an event stream.
enum ErrorResponder {
    static func response(_ error: GatewayError, requestID: String) -> Response {
        var response = Response.json(envelope(error, requestID: requestID).json, status: error.status)
        for (name, value) in error.headers { response.headers.add(name: name, value: value) }
        response.error = error
        return response
    }

    static func event(_ error: GatewayError, requestID: String) -> ByteBuffer {
        envelope(error, requestID: requestID).event.raw
    }

    private static func envelope(_ error: GatewayError, requestID: String) -> ErrorEnvelope {
        ErrorEnvelope(
            message: error.message, type: error.type, param: error.param, code: error.code, requestID: requestID)
    }
}
