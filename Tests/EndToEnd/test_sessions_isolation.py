"""Two users who use the same ids see nothing of each other on any route, in any dialect."""
import json
import re

import pytest

from harness.site import SESSIONS, error_of, fresh

SECRET = "the canary sings in cage nine"
BODIES = {
    "SessionChanges": {"title": "mine now", "agent_id": "a", "external_conv_id": "c", "is_group": True}, "FeedbackFields": {"thumb": "up"}, "NewMessage": {"role": "user", "content": "x"},
    "ChatRequest": {"model": "m", "messages": [{"role": "user", "content": "x"}]},
    "NewMessages": {"messages": [{"role": "user", "content": "x"}]}, "MessageOrMessages": {"role": "user", "content": "x"},
}

DATABASES = "both"


@pytest.fixture(scope="module")
def site(open_site):
    return open_site()


def in_both_forms(session):
    """An id of the server's as it is printed, and as a UUID."""
    digits = session.rpartition("_")[2]
    return session, "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def session_of(site, user, name):
    """A session under a name that both users take, with a message, feedback and a deletion to be undone."""
    session = site.send("POST", SESSIONS, {"id": name, "title": f"{user}: {SECRET}", "metadata_tags": ["shared"]}, user=user).json()["id"]
    for text in (f"{user}: {SECRET}", "and more"):
        assert site.send("POST", f"{SESSIONS}/{name}/messages", {"role": "user", "content": text, "chapter": "one"}, user=user).status == 201
    for place in ("", "/messages/1"):
        assert site.send("POST", f"{SESSIONS}/{name}{place}/feedback", {"thumb": "down", "comment": SECRET}, user=user).status == 201
    return session


def routes_of_one_session(site):
    """Every documented operation on a session that the path or the query names."""
    for path, item in site.contract.document["paths"].items():
        for method, operation in item.items():
            names_session = any(p["name"] == "session_id" for p in operation["parameters"]) or re.search(r"sessions/\{id\}", path)
            if names_session:
                schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {}).get("$ref", "")
                yield method.upper(), path, schema.rpartition("/")[2]


def call(site, method, path, schema, name, user):
    """The operation on the session of that name."""
    target = path.replace("{id}", name).replace("{message_id}", "1")
    target = re.sub(r"\{\w+\}", "1", target)
    if "{id}" not in path:
        target += f"?session_id={name}"
    body = json.dumps(BODIES.get(schema, {})).encode() if schema else b""
    return site.call(method, target, body, user=user)


def snapshot(site, user, session):
    """Everything that a user has, as the export and the sums show it."""
    export = site.call("GET", "/v1/chat/export", user=user).json()
    own = [entry for entry in export["sessions"] if entry["id"] == session]
    return own, site.call("GET", "/v1/chat/stats", user=user).json(), site.call("GET", f"{SESSIONS}/{session}/feedback/all", user=user).json()


# What names no session, and how it keeps users apart. A new route that is neither here nor below a session's path, or a body
# that is not in BODIES, fails the test that follows.
OTHERS = {
    "nothing of a user": ["GET /openapi.json", "GET /healthz", "GET /readyz", "GET /v1/models", "GET /v1/models/{id}"],
    "activity, in test_isolation.py": ["GET /v1/activity", "GET /v1/activity/stats"],
    "shows one's own": [
        f"GET {base}{path}" for base in ("/v1/chat", "/chat") for path in ("/sessions", "/stats", "/feedback/stats", "/search", "/export")
    ] + ["GET /api/v1/chat/sessions", "GET /api/v1/sessions"],
    "searches one's own": ["POST /v1/chat/search", "POST /chat/search"],
    "makes one's own": [f"POST {path}" for path in (SESSIONS, "/chat/sessions", "/api/v1/chat/sessions", "/api/v1/sessions", "/v1/chat/import", "/chat/import")],
    "erases one's own": [f"DELETE {SESSIONS}", "DELETE /chat/sessions"],
}


def test_every_route_has_its_row(site):
    documented = {f"{method.upper()} {path}" for path, item in site.contract.document["paths"].items() for method in item}
    of_sessions = {f"{method} {path}" for method, path, _ in routes_of_one_session(site)}
    others = {route for routes in OTHERS.values() for route in routes}
    assert documented - of_sessions == others, sorted((documented - of_sessions) ^ others)
    bodies = {schema for _, _, schema in routes_of_one_session(site) if schema}
    assert bodies == set(BODIES), sorted(bodies ^ set(BODIES))


def test_another_users_session_is_404_on_every_route_and_stays_as_it_was(site):
    alice = session_of(site, "alice", fresh("alice-only"))
    site.key("bob")
    before = snapshot(site, "alice", alice)
    routes = list(routes_of_one_session(site))
    assert len(routes) > 50, routes
    for method, path, schema in routes:
        for name in in_both_forms(alice):
            response = call(site, method, path, schema, name, "bob")
            assert response.status == 404, (method, path, response.raw)
            assert SECRET.encode() not in response.raw
            unknown = call(site, method, path, schema, "sess_" + "0" * 32, "bob")
            shown = {k: v for k, v in response.json()["error"].items() if k != "request_id"}
            assert shown == {k: v for k, v in unknown.json()["error"].items() if k != "request_id"}, (method, path)
    assert snapshot(site, "alice", alice) == before


def test_the_same_name_of_two_users_is_two_sessions_on_every_route(site):
    name = fresh("both")
    ids = {user: session_of(site, user, name) for user in ("alice", "bob")}
    assert ids["alice"] != ids["bob"]
    for user, other in (("alice", "bob"), ("bob", "alice")):
        for method, path, schema in routes_of_one_session(site):
            if method == "GET":
                response = call(site, method, path, schema, name, user)
                if "{branch}" in path:
                    error_of(response, 404, "branch_not_found")
                    continue
                assert response.status == 200, (method, path, response.raw)
                assert f"{other}: {SECRET}".encode() not in response.raw, (method, path)


def test_what_one_writes_under_a_name_that_both_have_stays_with_oneself_on_every_route(site):
    name = fresh("written")
    bob = session_of(site, "bob", name)
    before = snapshot(site, "bob", bob)
    writes = [route for route in routes_of_one_session(site) if route[0] != "GET"]
    assert len(writes) > 30, writes
    for method, path, schema in writes:
        site.call("DELETE", f"{SESSIONS}/{name}?purge=true", user="alice")
        alice = session_of(site, "alice", name)
        assert alice != bob
        own = snapshot(site, "alice", alice)
        response = call(site, method, path, schema, name, "alice")
        if path.endswith("/restore"):
            # These go by ids that the server made.
            assert response.status == 404, (method, path, response.raw)
        else:
            assert response.status in (200, 201, 204), (method, path, response.raw)
            assert path.endswith("/preview") or snapshot(site, "alice", alice) != own, f"{method} {path} did nothing"
        assert snapshot(site, "bob", bob) == before, (method, path)
    site.call("DELETE", f"{SESSIONS}/{name}?purge=true", user="alice")
    for selection in ({"session_id": name}, {"headers": [("X-Session-ID", name)]}, {"query": f"?session_id={name}"}):
        session_of(site, "alice", name)
        assert site.chat("mine", user="alice", **selection).status == 200
        assert snapshot(site, "bob", bob) == before, selection
        site.call("DELETE", f"{SESSIONS}/{name}?purge=true", user="alice")


def test_lists_search_export_and_sums_show_only_ones_own(site):
    carol = session_of(site, "carol", fresh("carol"))
    deleted = session_of(site, "carol", fresh("carol-deleted"))
    assert site.call("DELETE", f"{SESSIONS}/{deleted}", user="carol").status == 200
    site.key("dave")
    stats = site.call("GET", "/v1/chat/stats", user="dave").json()
    assert stats["sessions"] == stats["deleted_sessions"] == stats["messages"] == stats["feedback"]["count"] == 0
    queries = {"/sessions": ["?scope=all", "?tag=shared", "?title=canary", "?deleted=true"], "/search": ["?query=canary"], "/export": ["", "?format=markdown"]}
    for route in OTHERS["shows one's own"]:
        path = route.partition(" ")[2]
        for query in ["", *next((queries[end] for end in queries if path.endswith(end)), [])]:
            if path.endswith("/search") and not query:
                continue
            seen = site.call("GET", path + query, user="carol")
            response = site.call("GET", path + query, user="dave")
            assert response.status == seen.status == 200, path
            assert b"carol" not in response.raw and SECRET.encode() not in response.raw and carol.encode() not in response.raw, path + query
            assert response.body != seen.body, f"{path}{query} shows its owner nothing"
            if path.endswith("/sessions") and path in (SESSIONS, "/chat/sessions"):
                assert response.json()["total"] == 0
    for route in OTHERS["searches one's own"]:
        path = route.partition(" ")[2]
        assert site.send("POST", path, {"query": "canary"}, user="carol").json()["data"] and not site.send("POST", path, {"query": "canary"}, user="dave").json()["data"]


def test_what_is_made_with_names_and_ids_of_another_user_is_ones_own(site):
    name = fresh("made")
    grace = session_of(site, "grace", name)
    before = snapshot(site, "grace", grace)
    for index, route in enumerate(OTHERS["makes one's own"]):
        path, user = route.partition(" ")[2], f"heidi{index}"
        fields = {"id": name, "title": "mine", "agent_id": "a", "external_conv_id": "c"}
        value = {"sessions": [fields, {**fields, "id": grace, "external_conv_id": None}]} if path.endswith("import") else fields
        assert site.send("POST", path, value, user=user).status == 201, path
        made = site.call("GET", f"{SESSIONS}/{name}", user=user).json()
        assert made["id"] != grace and made["title"] == "mine"
        error_of(site.call("GET", f"{SESSIONS}/{grace}", user=user), 404, "session_not_found")
    assert snapshot(site, "grace", grace) == before


def test_erasing_everything_of_a_user_leaves_the_others_alone(site):
    name = fresh("erased")
    ids = {user: session_of(site, user, name) for user in ("erin", "frank")}
    site.call("DELETE", f"{SESSIONS}/{session_of(site, 'erin', fresh('deleted'))}", user="erin")
    before = snapshot(site, "frank", ids["frank"])
    error_of(site.call("DELETE", SESSIONS, user="erin"), 400, "missing_required_parameter")
    erased = [site.call("DELETE", f"{route.partition(' ')[2]}?confirm=erase", user="erin").json()["sessions"] for route in OTHERS["erases one's own"]]
    assert erased == [2, 0]
    assert site.call("GET", f"{SESSIONS}?deleted=true", user="erin").json()["total"] == 0
    assert site.call("GET", "/v1/chat/stats", user="erin").json()["feedback"]["count"] == 0
    error_of(site.call("GET", f"{SESSIONS}/{ids['erin']}", user="erin"), 404, "session_not_found")
    error_of(site.call("POST", f"{SESSIONS}/{ids['erin']}/restore", user="erin"), 404, "session_not_found")
    assert snapshot(site, "frank", ids["frank"]) == before
