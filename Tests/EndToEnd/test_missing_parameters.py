"""What must be there and is not, or is null, is missing on every route: 400 `missing_required_parameter` that names it."""
import json
import re

import pytest

from harness.site import CHAT, SESSIONS, error_of, fresh, said

VALUES = {
    "confirm": "erase", "session_id": None, "model": "m", "messages": [said("x")], "role": "user", "content": "x", "sessions": [],
    "query": "x", "q": "x", "thumb": "up", "score": 1, "comment": "c",
}


@pytest.fixture(scope="module")
def site(open_site):
    return open_site()


@pytest.fixture(scope="module")
def session(site):
    made = site.send("POST", SESSIONS, {}).json()["id"]
    assert site.send("POST", f"{SESSIONS}/{made}/messages", said("x")).status == 201
    return made


def resolved(document, schema):
    """A schema, and the schemas of what it may be instead, each without a reference."""
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    branches = [branch for key in ("anyOf", "oneOf") for branch in schema.get(key, []) if "$ref" in branch]
    return [schema] if not branches else [inner for branch in branches for inner in resolved(document, branch)]


def required_of(schema):
    """The names that an object must have: each element is one, or several of which one is enough."""
    either = [name for branch in schema.get("anyOf", []) for name in branch.get("required", [])]
    return [[name] for name in schema.get("required", [])] + ([either] if either else [])


def requirements(document):
    """Every documented operation that needs something beside its path: in the query, or in the body."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            query = [[p["name"]] for p in operation["parameters"] if p["in"] == "query" and p["required"]]
            if method == "get" and path.endswith("/search"):
                query = [["query", "q"]]
            if query:
                yield method.upper(), path, query, False
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            for schema in resolved(document, body)[:1] if body else []:
                if names := required_of(schema):
                    yield method.upper(), path, names, True


def test_what_is_missing_or_null_is_called_missing_on_every_route(site, session):
    found = list(requirements(site.contract.document))
    assert len(found) > 20, found
    for method, path, groups, is_body in found:
        target = path.replace("{id}", session).replace("{message_id}", "1")
        assert "{" not in target, path
        for missing in groups:
            others = {group[0]: VALUES[group[0]] for group in groups if group is not missing}
            for fields in [others, {**others, **dict.fromkeys(missing)}] if is_body else [others]:
                if is_body:
                    response = site.send(method, target, fields)
                else:
                    response = site.call(method, target + "?" + "&".join(f"{name}={value}" for name, value in fields.items()))
                error = error_of(response, 400, "missing_required_parameter")
                assert error["param"] in missing, (method, path, error)


WRONG = [
    ("POST", f"{SESSIONS}/ID/messages", {"role": "critic", "content": "x"}, "role"), ("POST", f"{SESSIONS}/ID/messages", {"role": 7, "content": "x"}, "role"),
    ("POST", f"{SESSIONS}/ID/messages", {"role": "user", "content": 7}, "content"), ("POST", f"{SESSIONS}/ID/messages/batch", {"messages": 1}, "messages"),
    ("POST", f"{SESSIONS}/ID/messages/batch", {"messages": []}, "messages"), ("POST", "/v1/chat/search", {"query": ""}, "query"), ("POST", "/v1/chat/search", {"query": 1}, "query"),
    ("GET", "/v1/chat/search?query=", None, "query"), ("DELETE", f"{SESSIONS}?confirm=yes", None, "confirm"), ("POST", "/v1/chat/import", {"sessions": {}}, "sessions"),
    ("POST", f"{SESSIONS}/ID/feedback", {"thumb": "sideways"}, "thumb"), ("POST", CHAT, {"model": "m", "messages": [said("x")], "session": {"external_conv_id": ""}}, "session.external_conv_id"),
    ("POST", CHAT, {"model": 7, "messages": [said("x")]}, "model"),
]


@pytest.mark.parametrize("method, path, body, param", WRONG, ids=lambda value: re.sub(r"\W+", "-", json.dumps(value)))
def test_what_is_there_and_wrong_is_called_invalid(site, session, method, path, body, param):
    response = site.call(method, path.replace("ID", session), json.dumps(body).encode() if body is not None else b"")
    assert error_of(response, 400, "invalid_value")["param"] == param


NESTED = [
    (f"{SESSIONS}/ID/messages", {"role": "user"}, "content"), (f"{SESSIONS}/ID/messages", {"role": "user", "content": None}, "content"),
    (f"{SESSIONS}/ID/messages/batch", {"messages": [said("x"), {"content": "x"}]}, "messages[1].role"),
    ("/v1/chat/import", {"sessions": [{"messages": [{"content": "x"}]}]}, "sessions[0].messages[0].role"),
    ("/v1/chat/import", {"sessions": [{"messages": [{**said("x"), "feedback": {}}]}]}, "sessions[0].messages[0].feedback.thumb"),
    (CHAT, {"model": "m", "messages": [said("x")], "session": {"agent_id": "a"}}, "session.external_conv_id"),
    (CHAT, {"messages": [said("x")]}, "model"), (CHAT, {"model": None, "messages": [said("x")]}, "model"),
]


@pytest.mark.parametrize("path, body, param", NESTED, ids=lambda value: re.sub(r"\W+", "-", json.dumps(value)))
def test_what_is_missing_inside_of_something_is_called_missing(site, session, path, body, param):
    assert error_of(site.send("POST", path.replace("ID", session), body), 400, "missing_required_parameter")["param"] == param


@pytest.mark.parametrize("field", ["messages"])
def test_a_chat_in_a_session_needs_messages(site, field):
    for fields in ({}, {field: None}):
        body = json.dumps({"model": "m", **fields}).encode()
        response = site.call("POST", CHAT, body, [("X-Session-ID", fresh("session"))])
        assert error_of(response, 400, "missing_required_parameter")["param"] == field
