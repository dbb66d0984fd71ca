import TurnpikeKit

/// What the API document says about itself: as much of OpenAPI 3.1 as it uses, and nothing else.
enum APIDocumentSchemas {
    private static let methods = ["get", "put", "post", "delete", "patch"]
        .map { "\"\($0)\":{\"$ref\":\"#/components/schemas/APIOperation\"}" }.joined(separator: ",")

    static let all = [
        RouteSchema(
            "APIDocument",
            """
            {"type":"object","additionalProperties":false,"required":["openapi","info","paths","components"],
            "properties":{"openapi":{"const":"3.1.0"},"info":{"type":"object","additionalProperties":false,
            "required":["title","version"],"properties":{"title":{"type":"string"},"version":{"type":"string"},
            "description":{"type":"string"}}},"paths":{"type":"object","additionalProperties":false,
            "patternProperties":{"^/":{"type":"object","additionalProperties":false,"properties":{\(methods)}}}},
            "components":{"type":"object","additionalProperties":false,"required":["schemas","securitySchemes"],
            "properties":{"schemas":{"type":"object","additionalProperties":false,"patternProperties":{
            "^[A-Za-z]+$":{"$ref":"#/components/schemas/JSONSchema"}}},"securitySchemes":{"type":"object",
            "additionalProperties":false,"properties":{"key":{"type":"object","additionalProperties":false,
            "properties":{"type":{"const":"http"},"scheme":{"const":"bearer"}}}}}}},
            "x-undescribed":{"type":"array","items":{"type":"string"}}}}
            """),
        RouteSchema(
            "APIOperation",
            """
            {"type":"object","additionalProperties":false,
            "required":["operationId","summary","security","parameters","responses"],"properties":{
            "operationId":{"type":"string"},"summary":{"type":"string"},"security":{"type":"array","items":{
            "type":"object","additionalProperties":false,"properties":{"key":{"type":"array","maxItems":0}}}},
            "parameters":{"type":"array","items":{"$ref":"#/components/schemas/APIParameter"}},
            "requestBody":{"type":"object","additionalProperties":false,"required":["required","content"],"properties":{
            "required":{"type":"boolean"},"content":{"$ref":"#/components/schemas/APIContent"}}},
            "responses":{"type":"object","additionalProperties":false,"patternProperties":{"^[1-5][0-9]{2}$":{
            "type":"object","additionalProperties":false,"required":["description"],"properties":{
            "description":{"type":"string"},"content":{"$ref":"#/components/schemas/APIContent"}}}}}}}
            """),
        RouteSchema(
            "APIParameter",
            """
            {"type":"object","additionalProperties":false,"required":["name","in","required","schema"],"properties":{
            "name":{"type":"string"},"in":{"enum":["path","query","header"]},"required":{"type":"boolean"},
            "description":{"type":"string"},"schema":{"$ref":"#/components/schemas/JSONSchema"}}}
            """),
        RouteSchema(
            "APIContent",
            """
            {"type":"object","additionalProperties":false,"patternProperties":{"^[a-z]+/[a-z.+-]+$":{"type":"object",
            "additionalProperties":false,"properties":{"schema":{"$ref":"#/components/schemas/JSONSchema"}}}}}
            """),
        RouteSchema(
            "JSONSchema",
            """
            {"description":"A JSON Schema of draft 2020-12.","type":"object","minProperties":1,
            "additionalProperties":{"$ref":"#/components/schemas/JSONValue"}}
            """),
    ]
}
