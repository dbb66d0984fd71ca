"""/openapi.json: what it promises, and that it is all there is. test_api_fuzzing has what is answered."""
import pytest

from harness.answers import json_answer

DATABASES = "both"
METHODS = {"get", "put", "post", "delete", "patch"}


@pytest.fixture(scope="module")
def site(open_site):
    site = open_site()
    site.upstream.on("/v1/models", lambda request: json_answer({"object": "list", "data": []}))
    return site


@pytest.fixture(scope="module")
def document(site):
    return site.contract.document


def test_it_is_given_without_a_key(site):
    response = site.call("GET", "/openapi.json", user=None)
    assert response.status == 200 and response.json()["openapi"] == "3.1.0"


def test_every_route_is_in_it(document):
    assert document.get("x-undescribed", []) == []


def test_everything_in_it_is_answered(site, document):
    for path, item in document["paths"].items():
        assert set(item) <= METHODS
        for method in item:
            target = path.replace("{id}", "sess_" + "0" * 32).replace("{message_id}", "1")
            response = site.call(method.upper(), target, user="nobody")
            error = response.json().get("error", {}) if response.status >= 400 else {}
            assert error.get("code") not in ("unknown_url", "method_not_allowed"), (method, path, response.raw)


def test_what_needs_a_key_refuses_those_without_one(site, document):
    for path, item in document["paths"].items():
        for method, operation in item.items():
            response = site.call(method.upper(), path.replace("{", "").replace("}", ""), user=None)
            assert (response.status == 401) == bool(operation["security"]), (method, path, response.raw)


# Objects whose members Turnpike does not choose; every other one is closed.
OPEN = {
    "JSONObject": "a client's or a provider's own object",
    "Metadata": "an application's own object",
    "NewMessage": "a message of the chat API, whose unknown fields are kept",
    "ChatRequest": "a request of the chat API, whose unknown fields go to the provider",
    "ProviderModel": "a provider's own model",
    "ProviderModelList": "a provider's own list",
    "JSONSchema": "the vocabulary of JSON Schema",
}


def test_its_schemas_are_closed_and_say_something(document):
    schemas = document["components"]["schemas"]
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids)) and set(OPEN) <= set(schemas)
    inline = [entry["schema"] for operation in operations for entry in operation["parameters"]]
    inline += [entry["schema"] for value in walk(operations) if isinstance(value, dict) and isinstance(entries := value.get("content"), dict) for entry in entries.values()]
    for name, whole in [*schemas.items(), *((None, schema) for schema in inline)]:
        for schema in subschemas(whole):
            assert {"type", "const", "enum", "$ref", "oneOf", "anyOf", "required"} & set(schema), f"{name}: {schema} says nothing"
            assert schema.get("$ref", "/JSONValue").rpartition("/")[2] in schemas, f"{name}: {schema}"
            if "object" in (kinds := schema.get("type", [])) or kinds == "object" or "properties" in schema:
                closed = schema.get("additionalProperties") is False and (schema.get("properties") or schema.get("patternProperties"))
                assert closed or name in OPEN, f"{name} is open: {schema}"
            if "array" in (kinds := schema.get("type", [])) or kinds == "array":
                assert "items" in schema or schema.get("maxItems") == 0, f"{name}: an array of anything"
            assert schema.get("additionalProperties", False) is False or schema["additionalProperties"] == {"$ref": "#/components/schemas/JSONValue"}, name


def subschemas(schema):
    """A schema and every schema inside it."""
    yield schema
    within = [*schema.get("properties", {}).values(), *schema.get("patternProperties", {}).values()]
    within += [entry for key in ("oneOf", "anyOf", "allOf") for entry in schema.get(key, [])]
    within += [schema[key] for key in ("items", "additionalProperties") if schema.get(key) is not False and key in schema]
    for entry in within:
        yield from subschemas(entry)


def walk(value):
    """Every value inside a JSON value."""
    yield value
    for entry in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(entry)


def test_the_document_is_what_it_says_of_itself(site, document):
    site.contract.validate({"$ref": "#/components/schemas/APIDocument"}, document, "/openapi.json")
