import TurnpikeKit

/// What the API document says about the list of models, which the middleware answers.
enum ModelDescriptions {
    static let endpoints = [
        DescribedEndpoint(
            method: "GET", path: "/v1/models",
            RouteDescription(
                "listModels", "The models that this key may use.",
                answers: [
                    RouteAnswer(200, "ModelList", "All of them."),
                    RouteAnswer(502, "Error", "The provider that lists its own cannot be asked."),
                    RouteAnswer(504, "Error", "It did not answer in time."),
                ])),
        DescribedEndpoint(
            method: "GET", path: "/v1/models/{id}",
            RouteDescription(
                "getModel", "One of the models.",
                answers: [
                    RouteAnswer(200, "Model", "The model."),
                    RouteAnswer(502, "Error", "The provider that lists its own cannot be asked."),
                    RouteAnswer(504, "Error", "It did not answer in time."),
                ])),
    ]

    /// A provider's own models say more about themselves than these fields.
    static let schemas = [
        RouteSchema(
            "ModelList",
            """
            {"type":"object","required":["object","data"],"properties":{"object":{"const":"list"},
            "data":{"type":"array","items":{"$ref":"#/components/schemas/Model"}}}}
            """),
        RouteSchema(
            "Model",
            """
            {"type":"object","required":["id","object"],"properties":{"id":{"type":"string"},
            "object":{"const":"model"},"created":{"type":"integer"},"owned_by":{"type":"string"}}}
            """),
    ]
}
