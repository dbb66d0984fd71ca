"""What cannot be answered is an error in OpenAI's envelope, with the request id in body and header."""
import json

import pytest

from harness import chat
from harness.answers import body_answer, sse_answer
from harness.client import Connection, exchange, request_bytes
from harness.events import events_of, is_done
from harness.ports import free_port
from harness.site import CHAT, SESSIONS, error_of, fresh

STATEFUL = [
    ("GET", "/v1/files"), ("POST", "/v1/files"), ("GET", "/v1/files/file-1/content"), ("POST", "/v1/uploads"),
    ("GET", "/v1/batches"), ("POST", "/v1/responses"), ("GET", "/v1/responses/resp_1"), ("POST", "/v1/conversations"),
    ("GET", "/v1/conversations/conv_1/items"), ("GET", CHAT), ("GET", f"{CHAT}/chatcmpl-1"), ("DELETE", f"{CHAT}/chatcmpl-1"),
    ("GET", f"{CHAT}/chatcmpl-1/messages"), ("POST", "/v1/assistants"), ("POST", "/v1/threads/t/runs"),
    ("GET", "/v1/vector_stores"), ("POST", "/v1/fine_tuning/jobs"), ("DELETE", "/v1/models/ft:x"), ("GET", "/v1/evals"),
    ("GET", "/v1/audio/voice_consents"), ("POST", "/v1/audio/voices"), ("DELETE", "/v1/audio/voices/voice_1"),
    ("POST", "/v1/audio/transcriptions/1"), ("GET", "/v1/images/img_1"), ("POST", "/v1/images/new"),
]


@pytest.fixture(scope="module")
def site(open_site):
    silent = {"connect_timeout": "300ms", "first_byte_timeout": "300ms", "idle_timeout": "300ms", "total_timeout": "2s"}
    return open_site(
        providers={"refusing": {"base_url": f"http://127.0.0.1:{free_port()}/v1"}},
        provider=silent,
        models={"*": {"provider": "scripted"}, "refused": {"provider": "refusing"}},
    )


def post(site, body, headers=(), target=CHAT):
    return site.call("POST", target, body, headers)


BAD_JSON = {
    "nothing": b"", "no JSON": b"model=x", "an array": b"[]", "a string": b'"x"', "null": b"null", "cut": b'{"model": "m", ',
    "two values": b'{"model":"m"} {}', "a trailing comma": b'{"model":"m",}', "a comment": b'{"model":"m"/**/}',
    "single quotes": b"{'model':'m'}", "a bare NaN": b'{"model":"m","messages":[],"t":NaN}', "deep": b'{"a":' + b"[" * 100_000,
}


@pytest.mark.parametrize("kind", BAD_JSON)
def test_a_body_that_is_no_json_object_is_refused(site, kind):
    count = len(site.upstream.requests)
    response = post(site, BAD_JSON[kind])
    assert response.status in (400, 413), response.raw
    error_of(response, response.status)
    assert len(site.upstream.requests) == count


@pytest.mark.parametrize("text", [b"\xff", b"\0", b"\x1f", b"\\x", b"\xed\xa0\x80"], ids=str)
def test_a_text_that_json_cannot_hold_is_refused_in_a_session_and_leaves_it_as_it_was(site, text):
    conversation = site.conversation()
    conversation.say("one")
    body = b'{"model":"m","messages":[{"role":"user","content":"%s"}]}' % text
    response = post(site, body, [("X-Session-ID", conversation.session)])
    error_of(response, 400)
    assert conversation.stored_texts == ["one", "re: one"]


@pytest.mark.parametrize(
    "field, value", [("model", 1), ("model", []), ("stream", "yes"), ("stream", 1), ("n", "2"), ("store", "true"), ("session_id", 7)]
)
def test_a_parameter_of_the_wrong_type_is_named(site, field, value):
    body = {"model": fresh("model"), "messages": [{"role": "user", "content": "x"}], field: value}
    error = error_of(site.send("POST", CHAT, body), 400, "invalid_value" if field != "session_id" else None)
    assert error["param"] == field


@pytest.mark.parametrize("body", [{}, {"messages": []}, {"model": None, "messages": []}])
def test_a_missing_model_is_named(site, body):
    assert error_of(site.send("POST", CHAT, body), 400, "missing_required_parameter")["param"] == "model"


@pytest.mark.parametrize("messages", ["x", {}, [1], [None], [["x"]], 5])
def test_messages_of_the_wrong_type_are_named_in_a_session(site, messages):
    body = {"model": fresh("model"), "messages": messages, "session": {"agent_id": "a", "external_conv_id": fresh("conv")}}
    assert error_of(site.send("POST", CHAT, body), 400)["param"].startswith("messages")


def test_a_model_that_leads_nowhere_is_404(open_site):
    site = open_site(models={"known": {"provider": "scripted"}})
    assert error_of(site.chat("x", "unknown"), 404, "model_not_found")["param"] == "model"
    assert error_of(site.call("GET", "/v1/models/unknown"), 404, "model_not_found")
    assert [model["id"] for model in site.call("GET", "/v1/models").json()["data"]] == ["known"]


@pytest.mark.parametrize(
    "target", ["/", "/v1", "/v2/chat/completions", "/v1/unheard", "/admin/keys", "/v1/chat", "/V1/chat/completions", "//v1/models"]
)
def test_an_unknown_path_is_404(site, target):
    response = site.call("GET", target)
    error_of(response, 404, "unknown_url")


@pytest.mark.parametrize("target", ["/v1/models/../files", "/v1/models/%2e%2e/files", "/v1/models/..%2ffiles", "/v1/./files"])
def test_a_dot_segment_never_reaches_the_upstream(site, target):
    count = len(site.upstream.requests)
    assert site.call("GET", target).status in (400, 403, 404)
    assert len(site.upstream.requests) == count


@pytest.mark.parametrize(
    "method, target", [("PUT", CHAT), ("DELETE", CHAT), ("GET", "/v1/embeddings"), ("POST", "/v1/models"), ("DELETE", "/v1/activity")]
)
def test_a_wrong_method_is_405_and_says_what_is_allowed(site, method, target):
    response = site.call(method, target)
    error_of(response, 405, "method_not_allowed")
    assert response.header("Allow")


def test_an_unknown_session_is_404(site):
    assert error_of(site.chat("x", session_id="nobody"), 404, "session_not_found")
    assert error_of(site.chat("x", query="?session_id=nobody"), 404, "session_not_found")
    assert error_of(site.call("GET", f"{SESSIONS}/nobody"), 404, "session_not_found")
    assert error_of(site.call("GET", f"{SESSIONS}/nobody/messages"), 404, "session_not_found")
    assert error_of(site.call("DELETE", f"{SESSIONS}/nobody"), 404, "session_not_found")


def test_two_session_ids_that_differ_are_a_conflict(site):
    conversation = site.conversation()
    conversation.say("one")
    other = site.conversation()
    other.say("two")
    header = [("X-Session-ID", conversation.session)]
    error_of(site.chat("x", headers=header, session_id=other.session), 400, "session_conflict")
    error_of(site.chat("x", headers=header, query=f"?session_id={other.session}"), 400, "session_conflict")
    error_of(site.chat("x", query=f"?session_id={other.session}", session_id=conversation.session), 400, "session_conflict")
    assert site.chat("x", headers=header, session_id=conversation.session).status == 200
    assert conversation.stored_texts == ["one", "re: one", "x", "re: x"] and other.stored_texts == ["two", "re: two"]


@pytest.mark.parametrize("method, target", STATEFUL)
def test_an_endpoint_that_keeps_state_in_the_shared_account_is_403(site, method, target):
    count = len(site.upstream.requests)
    error_of(site.call(method, target, b"{}" if method == "POST" else b""), 403, "endpoint_not_enabled")
    assert len(site.upstream.requests) == count


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
@pytest.mark.parametrize("path", ["audio/speech", "audio/transcriptions", "audio/translations", "images/generations", "images/edits", "images/variations"])
def test_what_is_open_for_posts_is_405_with_another_method(site, method, path):
    count = len(site.upstream.requests)
    error_of(site.call(method, f"/v1/{path}", b""), 405)
    assert len(site.upstream.requests) == count


def test_a_provider_opens_exactly_the_paths_that_it_lists(open_site):
    site = open_site(provider={"passthrough": ["/files", "/responses"]})
    site.upstream.on("/v1/files/file-1", body_answer(b"{}")).on("/v1/responses", body_answer(b"{}"))
    assert site.call("GET", "/v1/files/file-1").status == 200
    assert site.call("POST", "/v1/responses", b'{"input":"x"}').status == 200
    for target in ("/v1/files2", "/v1/batches", "/v1/responsesx/1"):
        assert site.call("GET", target).status in (403, 404)
    error_of(site.chat("x", store=True), 400, "store_not_enabled")


def test_storing_a_completion_in_the_shared_account_is_refused(site):
    model = fresh("model")
    assert error_of(site.chat("x", model, store=True), 400, "store_not_enabled")["param"] == "store"
    assert not site.sent(model)
    assert site.chat("x", model, store=False).status == 200


def test_an_upstream_that_refuses_the_connection_is_502(site):
    for stream in (False, True):
        error_of(site.chat("x", "refused", stream=stream), 502, "upstream_unreachable")


def test_a_session_survives_an_upstream_that_cannot_be_reached(site):
    conversation = site.conversation()
    conversation.say("one")
    refused = site.chat("two", "refused", [("X-Session-ID", conversation.session)])
    error_of(refused, 502, "upstream_unreachable")
    conversation.say("three")
    assert conversation.texts == ["one", "re: one", "three"]


def test_an_upstream_that_says_nothing_is_504(site):
    model = site.script(fresh("model"), body_answer(b"{}").stalled_at(0))
    for stream in (False, True):
        error_of(site.chat("x", model, stream=stream), 504, "upstream_timeout")
    assert all(request.client_left.wait(5) for request in site.sent(model))


def test_an_upstream_that_stops_within_its_head_is_504(site):
    model = site.script(fresh("model"), body_answer(b"{}").stalled_at(20))
    error_of(site.chat("x", model), 504, "upstream_timeout")


def test_a_stream_that_stops_ends_with_an_error_event_and_no_done(site):
    answer = sse_answer(chat.text_events())
    model = site.script(fresh("model"), answer.stalled_at(sum(map(len, answer.pieces[:3]))))
    response = site.chat("x", model, stream=True)
    assert response.status == 200 and not is_done(response.body)
    last = events_of(response.body)[-1]
    assert last.name == "error" and last.json()["error"]["code"] == "upstream_timeout"
    assert last.json()["error"]["request_id"] == response.header("x-turnpike-request-id")


def test_a_json_answer_that_stops_never_looks_complete(site):
    model = site.script(fresh("model"), body_answer(json.dumps(chat.completion()).encode()).stalled_at(150))
    response = site.chat("x", model)
    assert not response.complete or response.status == 504


def test_a_websocket_upgrade_is_501(site):
    fields = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "eA==")]
    with Connection(site.port) as connection:
        connection.send(request_bytes("GET", "/v1/realtime?model=x", [*site.headers(), *fields]))
        error_of(connection.read_response(), 501)


def test_health_and_readiness_need_no_key(site):
    for port in (site.gateway.port, site.gateway.admin_port):
        assert exchange(port, "GET", "/healthz").status == 200
        assert exchange(port, "GET", "/readyz").status == 200


def test_the_second_listener_serves_no_clients(site):
    headers = site.headers(body=b"{}")
    assert exchange(site.gateway.admin_port, "POST", CHAT, headers, b"{}").status in (403, 404)
    assert exchange(site.gateway.admin_port, "GET", SESSIONS, site.headers()).status in (403, 404)
