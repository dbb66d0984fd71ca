package import NIOCore
import NIOHTTP1
import OpenAIWire
import TurnpikeKit

/// `/openapi.json`: an OpenAPI 3.1 document of everything that Turnpike itself answers.
///
/// It is made of what the routes say about themselves, so that a route and its description change together. It needs no
/// key: it holds nothing that is not in the project's documentation, and tools that generate clients fetch it without.
package struct OpenAPIDocument: Sendable {
    /// The document's text.
    package let bytes: ByteBuffer

    init(routes: [Route], plugins: [any Plugin]) {
        let endpoints =
            [Self.itself] + routes.compactMap(\.endpoint) + SessionPreview.endpoints + plugins.flatMap(\.endpoints)
        let others = routes.filter { $0.endpoint == nil }.map { "\($0.method.rawValue) \($0.path)" }
        bytes = Self.document(
            endpoints, Self.schemas + SessionPreview.schemas + plugins.flatMap(\.schemas), undescribed: others)
    }

    /// The route that gives the document to anyone.
    var route: Route {
        let bytes = bytes
        return Route(.GET, Self.itself.path, access: .anyone) { _, _, _ in .json(bytes) }
    }

    private static let itself = DescribedEndpoint(
        method: "GET", path: "/openapi.json", isOpen: true,
        RouteDescription(
            "apiDocument", "This document.", answers: [RouteAnswer(200, "APIDocument", "OpenAPI 3.1.")]))

    /// - Parameter others: Routes that say nothing about themselves: the document names them, and cannot say more.
    private static func document(
        _ endpoints: [DescribedEndpoint], _ schemas: [RouteSchema], undescribed others: [String]
    ) -> ByteBuffer {
        JSONWriter.object { json in
            json.member("openapi", "3.1.0")
            json.object("info") { info in
                info.member("title", "Turnpike")
                info.member("version", "1")
                info.member("description", "What Turnpike itself answers; everything else goes to a provider.")
            }
            json.object("paths") { paths in
                for (path, operations) in grouped(endpoints) {
                    paths.object(path) { item in
                        for operation in operations {
                            item.object(operation.method.lowercased()) { OpenAPIOperation.write(operation, to: &$0) }
                        }
                    }
                }
            }
            json.object("components") { components in
                components.object("schemas") { list in
                    for schema in schemas { list.member(schema.name, json: ByteBuffer(string: schema.json)) }
                }
                components.object("securitySchemes") { schemes in
                    schemes.member("key", json: ByteBuffer(string: #"{"type":"http","scheme":"bearer"}"#))
                }
            }
            if !others.isEmpty {
                json.array("x-undescribed") { list in for route in others { list.element(route) } }
            }
        }
    }

    /// In the order in which the paths appear first.
    private static func grouped(_ endpoints: [DescribedEndpoint]) -> [(String, [DescribedEndpoint])] {
        var order: [String] = []
        var byPath: [String: [DescribedEndpoint]] = [:]
        for endpoint in endpoints {
            if byPath[endpoint.path] == nil { order.append(endpoint.path) }
            byPath[endpoint.path, default: []].append(endpoint)
        }
        return order.map { ($0, byPath[$0] ?? []) }
    }
}

extension OpenAPIDocument {
    /// What every part of the document may refer to.
    private static let schemas =
        [
            RouteSchema(
                "Error",
                """
                {"type":"object","additionalProperties":false,"required":["error"],"properties":{"error":{"type":"object",
                "additionalProperties":false,"required":["message","type","param","code"],"properties":{
                "message":{"type":"string"},"type":{"type":"string"},"param":{"type":["string","null"]},
                "code":{"type":["string","null"]},"request_id":{"type":"string"}}}}}
                """),
            RouteSchema(
                "Health",
                """
                {"type":"object","additionalProperties":false,"required":["status"],"properties":{"status":{"const":"ok"}}}
                """),
            RouteSchema(
                "Readiness",
                """
                {"description":"What is waited for and why, what works badly, and what waits in the spool.","type":"object",
                "additionalProperties":false,"required":["status"],"properties":{"status":{"enum":["ready","not ready"]},
                "waiting_for":{"type":"array","items":{"const":"\(MigrationService.part)"}},
                "reasons":{"type":"object","additionalProperties":false,"properties":{
                "\(MigrationService.part)":{"type":"string"}}},
                "problems":{"type":"object","additionalProperties":false,"properties":{
                "\(MigrationService.part)":{"type":"array","items":{"type":"string"}},
                "\(SpoolService.part)":{"type":"array","items":{"type":"string"}},
                "\(SoleUseService.part)":{"type":"array","items":{"type":"string"}}}},
                "\(SpoolService.part)":{"$ref":"#/components/schemas/SpoolNumbers"}}}
                """),
            RouteSchema(
                "SpoolNumbers",
                """
                {"type":"object","additionalProperties":false,
                "required":["turns","bytes","reserved","oldest_seconds","dead_letters"],"properties":{
                "turns":{"type":"integer"},"bytes":{"type":"integer"},"reserved":{"type":"integer"},
                "oldest_seconds":{"type":"integer"},"dead_letters":{"type":"integer"}}}
                """),
            RouteSchema(
                "JSONValue",
                """
                {"description":"Any JSON, kept as it was sent.","oneOf":[{"type":"null"},{"type":"boolean"},
                {"type":"number"},{"type":"string"},{"type":"array","items":{"$ref":"#/components/schemas/JSONValue"}},
                {"$ref":"#/components/schemas/JSONObject"}]}
                """),
            RouteSchema(
                "JSONObject",
                """
                {"description":"An object of the client's or a provider's own, kept as it was sent.","type":"object",
                "additionalProperties":{"$ref":"#/components/schemas/JSONValue"}}
                """),
        ] + APIDocumentSchemas.all
}
