"""The sessions of the systems that Turnpike replaces, each by its own description."""
import re
import uuid

import pytest

from harness.site import SESSIONS, error_of, fresh, said

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")

DATABASES = "both"


@pytest.fixture(scope="module")
def site(open_site):
    return open_site()


@pytest.fixture
def users(site):
    """Two who have nothing yet."""
    found = fresh("first"), fresh("second")
    for user in found:
        site.key(user)
    return found


def get(site, user, target, status=200):
    response = site.call("GET", target, user=user)
    assert response.status == status, response.raw
    return response.json()


def test_chat_sessions(site, users):
    user, other = users
    base = "/api/v1/chat/sessions"
    made = site.send("POST", base, {"title": "Plans", "provider": "openai", "model_name": "gpt-5"}, user=user)
    assert made.status == 201
    session = made.json()
    assert str(uuid.UUID(session["id"])) == session["id"]
    assert (session["title"], session["provider"], session["model_name"]) == ("Plans", "openai", "gpt-5") and ISO.fullmatch(session["created_at"])
    assert get(site, user, f"{base}/{session['id']}") == session
    assert [entry["id"] for entry in get(site, user, base)] == [session["id"]] and get(site, other, base) == []
    renamed = site.send("PATCH", f"{base}/{session['id']}", {"title": "Better"}, user=user)
    assert renamed.status == 200 and renamed.json()["title"] == "Better" and renamed.json()["provider"] == "openai"
    for text in ("one", "two"):
        assert site.chat(text, user=user, headers=[("X-Session-ID", session["id"])]).header("x-session-id") == "sess_" + session["id"].replace("-", "")
    for path in ("history", "messages"):
        history = get(site, user, f"{base}/{session['id']}/{path}")
        assert [(entry["role"], entry["content"]) for entry in history] == [("user", "one"), ("assistant", "re: one"), ("user", "two"), ("assistant", "re: two")]
        assert [entry["id"] for entry in history] == [1, 2, 3, 4] and {entry["session_id"] for entry in history} == {session["id"]}
    for method, path in (("GET", ""), ("PATCH", ""), ("PUT", ""), ("DELETE", ""), ("GET", "/history")):
        error_of(site.call(method, f"{base}/{session['id']}{path}", b"{}" if method[0] == "P" else b"", user=other), 404, "session_not_found")
    assert site.call("DELETE", f"{base}/{session['id']}", user=user).status == 204
    for target in (f"{base}/{session['id']}", f"{base}/{session['id']}/history", f"{SESSIONS}/{session['id']}/messages"):
        error_of(site.call("GET", target, user=user), 404, "session_not_found")
    assert get(site, user, f"{SESSIONS}?deleted=true")["total"] == 0, "the messages are gone with it"


@pytest.mark.parametrize("slash", ["", "/"])
def test_named_sessions(site, users, slash):
    user, other = users
    base = "/api/v1/sessions"
    fields = {"name": "Plans", "rag_document_ids": ["d1", "d2"], "metadata_tags": ["x"], "llm_model_name": "gpt-5"}
    made = site.send("POST", base + slash, fields, user=user)
    assert made.status == 201
    session = made.json()
    assert set(session) == {"id", "name", "created_at", "last_updated_at", "llm_model_name", "rag_document_ids", "metadata_tags"}
    assert str(uuid.UUID(session["id"])) == session["id"] and {key: session[key] for key in fields} == fields
    place = f"{base}/{session['id']}"
    message = site.send("POST", f"{place}/messages{slash}", {"role": "user", "content": "hello", "metadata": {"k": 1}}, user=user)
    assert message.status == 201
    assert set(message.json()) == {"id", "session_id", "timestamp", "role", "content", "metadata"}
    assert message.json()["metadata"] == {"k": 1} and message.json()["session_id"] == session["id"] and ISO.fullmatch(message.json()["timestamp"])
    site.send("POST", f"{place}/messages", {"role": "assistant", "content": "hi"}, user=user)
    listed = get(site, user, f"{place}/messages{slash}")
    assert listed[0] == message.json() and [entry["content"] for entry in listed] == ["hello", "hi"] and len({entry["id"] for entry in listed}) == 2
    changed = site.send("PUT", place, {"name": "Better", "metadata_tags": ["y"]}, user=user).json()
    assert changed["name"] == "Better" and changed["metadata_tags"] == ["y"] and changed["last_updated_at"] > session["last_updated_at"]
    assert [entry["id"] for entry in get(site, user, base + slash)] == [session["id"]] and get(site, other, base + slash) == []
    for name in (session["id"], "sess_" + session["id"].replace("-", "")):
        assert get(site, user, f"{SESSIONS}/{name}")["message_count"] == 2
    error_of(site.send("POST", f"{place}/messages", {"role": "critic", "content": "x"}, user=user), 400)
    error_of(site.send("POST", f"{place}/messages", said("x"), user=other), 404, "session_not_found")
    assert site.call("DELETE", place + slash, user=other).status == 404
    assert site.call("DELETE", place + slash, user=user).status == 204 and site.call("DELETE", place + slash, user=user).status == 404
    assert get(site, user, f"{SESSIONS}?deleted=true")["total"] == 0, "it is gone for good"
    error_of(site.send("POST", f"{SESSIONS}/sess_{session['id'].replace('-', '')}/restore", {}, user=user), 404, "session_not_found")
    assert get(site, user, "/v1/chat/stats")["messages"] == 0


def test_history(site, users):
    user, other = users
    session = site.send("POST", SESSIONS, {}, user=user).json()["id"]
    for number, chapter in enumerate(["one", "two", "one"]):
        message = {"role": "user", "content": f"m{number}", "chapter": chapter, "citations": [{"url": "https://a"}] if number == 0 else []}
        assert site.send("POST", f"{SESSIONS}/{session}/messages", message, user=user).status == 201
    name = str(uuid.UUID(session.removeprefix("sess_")))
    whole = get(site, user, f"/api/v1/history?session_id={name}")
    assert set(whole) == {"session_id", "chapter", "messages", "total"} and whole["session_id"] == name and whole["chapter"] is None and whole["total"] == 3
    assert [set(entry) for entry in whole["messages"]] == [{"id", "role", "content", "citations", "created_at"}] * 3
    assert [entry["id"] for entry in whole["messages"]] == [1, 2, 3] and whole["messages"][0]["citations"] == [{"url": "https://a"}]
    chapter = get(site, user, f"/api/v1/history?session_id={session}&chapter=one&limit=1&offset=1")
    assert chapter["chapter"] == "one" and chapter["total"] == 2 and [entry["content"] for entry in chapter["messages"]] == ["m2"]
    error_of(site.call("GET", f"/api/v1/history?session_id={session}", user=other), 404, "session_not_found")
    error_of(site.call("GET", "/api/v1/history", user=user), 400)


def test_one_session_is_reached_by_every_form_of_its_id_in_every_dialect(site, users):
    user, _ = users
    for base in (SESSIONS, "/chat/sessions", "/api/v1/chat/sessions", "/api/v1/sessions"):
        made = site.send("POST", base, {"title": "One", "name": "One"}, user=user).json()["id"]
        digits = made.removeprefix("sess_").replace("-", "")
        for name in ("sess_" + digits, str(uuid.UUID(digits)), digits.upper()):
            for other in (SESSIONS, "/chat/sessions", "/api/v1/chat/sessions", "/api/v1/sessions"):
                shown = get(site, user, f"{other}/{name}")
                assert shown["id"].removeprefix("sess_").replace("-", "") == digits and "One" in (shown.get("title"), shown.get("name"))
            assert get(site, user, f"/api/v1/history?session_id={name}")["total"] == 0
