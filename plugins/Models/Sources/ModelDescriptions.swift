import TurnpikeKit

/// What the API document says about the list of models, which the middleware answers.
enum ModelDescriptions {
    static let endpoints = [
        endpoint("/v1/models", "listModels", "The models that this key may use.", "ModelList", "All of them."),
        endpoint("/v1/models/{id}", "getModel", "One of the models.", "Model", "The model."),
    ]

    private static func endpoint(
        _ path: String, _ id: String, _ summary: String, _ schema: String, _ answer: String
    ) -> DescribedEndpoint {
        let answers = [
            RouteAnswer(200, schema, answer),
            RouteAnswer(502, "Error", "The provider that lists its own cannot be asked."),
            RouteAnswer(504, "Error", "It did not answer in time."),
        ]
        return DescribedEndpoint(method: "GET", path: path, RouteDescription(id, summary, answers: answers))
    }

    /// A provider's list and models come as they are: they say more than what the configuration's own say.
    static let schemas = [
        RouteSchema(
            "ModelList",
            """
            {"anyOf":[{"type":"object","additionalProperties":false,"required":["object","data"],"properties":{
            "object":{"const":"list"},"data":{"type":"array","items":{"$ref":"#/components/schemas/Model"}}}},
            {"$ref":"#/components/schemas/ProviderModelList"}]}
            """),
        RouteSchema(
            "Model",
            """
            {"anyOf":[{"type":"object","additionalProperties":false,"required":["id","object","created","owned_by"],
            "properties":{"id":{"type":"string"},"object":{"const":"model"},"created":{"type":"integer"},
            "owned_by":{"type":"string"}}},{"$ref":"#/components/schemas/ProviderModel"}]}
            """),
        RouteSchema(
            "ProviderModelList",
            """
            {"description":"A provider's list as it came, with the configured models in front.","type":"object",
            "required":["data"],"properties":{"object":{"const":"list"},
            "data":{"type":"array","items":{"$ref":"#/components/schemas/Model"}}},
            "additionalProperties":{"$ref":"#/components/schemas/JSONValue"}}
            """),
        RouteSchema(
            "ProviderModel",
            """
            {"description":"A provider's model as it came.","type":"object","required":["id"],"properties":{
            "id":{"type":"string"},"object":{"const":"model"},"created":{"type":"integer"},
            "owned_by":{"type":"string"}},"additionalProperties":{"$ref":"#/components/schemas/JSONValue"}}
            """),
    ]
}
