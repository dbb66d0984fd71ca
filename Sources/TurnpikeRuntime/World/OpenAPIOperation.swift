import NIOCore
import OpenAIWire
import TurnpikeKit

/// One operation of the API document.
enum OpenAPIOperation {
    /// What any endpoint may answer, whatever it is for.
    private static let commonErrors: [(status: Int, summary: String)] = [
        (400, "Something in the request is wrong; the error says what."), (413, "The body is too large."),
        (429, "Too much at once."), (500, "A failure of Turnpike's own."),
        (503, "Something is out of reach for the moment, such as the database."),
    ]
    /// Of those that need a key.
    private static let keyErrors: [(status: Int, summary: String)] = [
        (401, "There is no key, or it is none of this server's."), (403, "This key or user may not do this."),
    ]

    static func write(_ endpoint: DescribedEndpoint, to json: inout JSONWriter) {
        let description = endpoint.description
        json.member("operationId", description.id)
        json.member("summary", description.summary)
        if endpoint.isOpen {
            json.array("security") { _ in }
        } else {
            json.array("security") { list in list.element { $0.array("key") { _ in } } }
        }
        json.array("parameters") { list in
            for name in pathParameters(endpoint.path) {
                list.element { parameter in
                    parameter.member("name", name)
                    parameter.member("in", "path")
                    parameter.member("required", true)
                    parameter.member("schema", json: ByteBuffer(string: #"{"type":"string","minLength":1}"#))
                }
            }
            for parameter in description.parameters { list.element { write(parameter, to: &$0) } }
        }
        if let body = description.body {
            json.object("requestBody") { request in
                request.member("required", true)
                request.object("content") { write(schema: body, description.bodyTypes, to: &$0) }
            }
        }
        json.object("responses") { write(answers(of: endpoint), to: &$0) }
    }

    private static func pathParameters(_ path: String) -> [String] {
        path.split(separator: "/").filter { $0.hasPrefix("{") }.map { String($0.dropFirst().dropLast()) }
    }

    private static func write(_ parameter: RouteParameter, to json: inout JSONWriter) {
        json.member("name", parameter.name)
        json.member("in", parameter.place.rawValue)
        json.member("required", parameter.isRequired)
        json.member("description", parameter.summary)
        json.member("schema", json: ByteBuffer(string: parameter.schema))
    }

    private static func answers(of endpoint: DescribedEndpoint) -> [RouteAnswer] {
        let own = endpoint.description.answers
        var errors = commonErrors + (endpoint.isOpen ? [] : keyErrors)
        if !pathParameters(endpoint.path).isEmpty || endpoint.description.parameters.contains(where: \.isRequired) {
            errors.append((404, "There is nothing of yours with this name."))
        }
        let others = errors.filter { error in !own.contains { $0.status == error.status } }
        return (own + others.map { RouteAnswer($0.status, "Error", $0.summary) }).sorted { $0.status < $1.status }
    }

    private static func write(_ answers: [RouteAnswer], to json: inout JSONWriter) {
        for answer in answers {
            json.object("\(answer.status)") { response in
                response.member("description", answer.summary)
                guard let schema = answer.schema else { return }
                response.object("content") { write(schema: schema, answer.contentTypes, to: &$0) }
            }
        }
    }

    private static func write(schema: String, _ contentTypes: [String], to json: inout JSONWriter) {
        for type in contentTypes {
            let reference = "{\"$ref\":\"#/components/schemas/\(schema)\"}"
            let isJSON = type == "application/json"
            json.object(type) {
                $0.member("schema", json: ByteBuffer(string: isJSON ? reference : #"{"type":"string"}"#))
            }
        }
    }
}
