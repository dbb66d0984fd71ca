"""/openapi.json: what it promises, that it is all there is, and that nothing outside of it is ever answered."""
import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.answers import json_answer
from harness.site import SESSIONS

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
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


def test_its_schemas_are_closed_and_say_something(document):
    names = set(document["components"]["schemas"])
    operations = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(operations) == len(set(operations))
    for place, value in walk(document["components"]["schemas"], ()):
        if not isinstance(value, dict):
            continue
        if "$ref" in value:
            assert value["$ref"].rpartition("/")[2] in names, place
        if place and place[-1] in ("items", "additionalProperties") or place[-2:-1] == ("properties",):
            assert value, f"{place} is an empty schema"
        if value.get("type") == "object" and "properties" not in value:
            assert value.get("additionalProperties"), f"{place} is an object without a word about it"
        assert value.get("additionalProperties") is not True, place
    for name in answers(document) - {"Model", "ModelList", "Readiness", "APIDocument", "SessionPreview"}:
        schema = document["components"]["schemas"][name]
        assert schema.get("type") == "array" or "oneOf" in schema or schema["additionalProperties"] is False, name


def answers(document):
    """The names of the schemas that answers have."""
    text = json.dumps([operation["responses"] for item in document["paths"].values() for operation in item.values()])
    return {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}


def walk(value, place):
    """Every value inside a JSON value, with its place."""
    yield place, value
    for key, entry in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from walk(entry, (*place, key))


def test_schemathesis_finds_no_5xx_and_nothing_undocumented(site, tmp_path):
    fuzz(site, tmp_path, {})


def test_schemathesis_finds_nothing_where_there_is_a_session(site, tmp_path):
    session = site.send("POST", SESSIONS, {"title": "fuzzed"}).json()["id"]
    assert site.send("POST", f"{SESSIONS}/{session}/messages", {"role": "user", "content": "x"}).status == 201
    fuzz(site, tmp_path, {"path.id": session, "path.message_id": 1}, "--exclude-method", "DELETE", "--exclude-path-regex", "^/chat")
    assert site.call("GET", f"{SESSIONS}/{session}").status == 200


def fuzz(site, directory, parameters, *options):
    """Runs schemathesis with a fixed seed on every operation; `parameters` stand for generated ones."""
    config = directory / "schemathesis.toml"
    lines = [f"{json.dumps(name)} = {json.dumps(value)}" for name, value in parameters.items()]
    config.write_text("\n".join(["[parameters]", *lines]) if lines else "")
    command = [
        Path(sys.executable).parent / "schemathesis", "--config-file", config, "run", f"http://127.0.0.1:{site.port}/openapi.json",
        "-H", f"Authorization: {site.bearer()[1]}", "--checks", CHECKS, "--phases", "coverage,fuzzing", "-n", "3", "--seed", "1", "--no-color", *options,
    ]
    done = subprocess.run([str(part) for part in command], cwd=directory, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
