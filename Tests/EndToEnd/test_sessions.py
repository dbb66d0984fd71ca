"""Which session a request belongs to, and that it is remembered exactly once."""
import json
from urllib.parse import quote

import pytest

from harness import chat
from harness.answers import sse_answer
from harness.client import Connection, request_bytes
from harness.site import CHAT, SESSIONS, error_of, fresh, said
from harness.waiting import together

DATABASES = "both"

OBJECT = {
    "source_channel": "whatsapp", "title": "A talk", "is_group": True, "group_name": "g", "participant_id": "p", "peer_agent_id": "q",
}


@pytest.fixture(scope="module")
def site(open_site):
    return open_site()


def create(site, user="alice", prefix=SESSIONS, **fields):
    """A session made by the API; returns its id."""
    response = site.send("POST", prefix, fields, user=user)
    assert response.status in (200, 201), response.raw
    return response.json()["id"]


def ask(site, text, place, session, **fields):
    """Says `text` in a session that is named in the body, the header or the query."""
    headers = [("X-Session-ID", session)] if place == "header" else []
    query = f"?session_id={session}" if place == "query" else ""
    return site.chat(text, headers=headers, query=query, **({"session_id": session} if place == "body" else {}), **fields)


@pytest.mark.parametrize("place", ["body", "header", "query"])
def test_a_session_named_in_any_place_is_remembered(site, place):
    session, model = create(site), fresh("model")
    first = ask(site, "one", place, session, model=model)
    second = ask(site, "two", place, session, model=model)
    assert first.header("x-session-id") == second.header("x-session-id") == session
    assert [message["content"] for message in site.sent(model)[1].json()["messages"]] == ["one", "re: one", "two"]


@pytest.mark.parametrize("prefix", [SESSIONS, "/chat/sessions"])
def test_a_session_is_created_read_listed_and_deleted(site, prefix):
    session = create(site, prefix=prefix, title="Plans")
    assert session.startswith("sess_")
    assert site.call("GET", f"{prefix}/{session}").json()["title"] == "Plans"
    assert session in [entry["id"] for entry in site.call("GET", f"{prefix}?limit=200").json()["data"]]
    assert site.chat("x", session_id=session).status == 200
    assert site.stored(session) == [said("x"), site.stored(session)[1]]
    assert site.call("DELETE", f"{prefix}/{session}").status in (200, 204)
    error_of(site.call("GET", f"{prefix}/{session}"), 404, "session_not_found")
    error_of(site.call("GET", f"{prefix}/{session}/messages"), 404, "session_not_found")
    error_of(site.chat("x", session_id=session), 404, "session_not_found")
    assert session not in [entry["id"] for entry in site.call("GET", f"{prefix}?limit=200").json()["data"]]


def test_an_id_of_the_servers_is_accepted_with_its_prefix_and_as_a_uuid(site):
    session, model = create(site), fresh("model")
    digits = session.removeprefix("sess_").replace("-", "")
    uuid = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    for place, name in (("body", session), ("header", uuid), ("query", uuid.upper()), ("body", uuid)):
        assert ask(site, "x", place, name, model=model).header("x-session-id") == session
    assert len(site.stored(session)) == 8
    assert site.chat("x", headers=[("X-Session-ID", uuid)], session_id=session).status == 200


def test_an_unknown_id_in_the_header_makes_the_session_and_it_is_found_under_it(site):
    conversation = site.conversation()
    printed = conversation.say("one").header("x-session-id")
    conversation.say("two")
    assert conversation.texts == ["one", "re: one", "two"]
    assert site.stored(printed) == conversation.stored
    assert ask(site, "three", "body", conversation.session).status == 200


def test_a_deleted_session_of_the_clients_name_begins_anew(site):
    conversation = site.conversation()
    conversation.say("old")
    assert site.call("DELETE", f"{SESSIONS}/{conversation.session}").status in (200, 204)
    conversation.say("new")
    assert conversation.texts == ["new"]


def test_an_external_conversation_is_found_or_created(site):
    model, name = fresh("model"), {"agent_id": "support", "external_conv_id": fresh("conv"), **OBJECT}
    first = site.chat("one", model, session=name)
    second = site.chat("two", model, session=name)
    assert first.header("x-session-id") == second.header("x-session-id")
    assert [message["content"] for message in site.sent(model)[1].json()["messages"]] == ["one", "re: one", "two"]
    shown = site.call("GET", f"{SESSIONS}/{first.header('x-session-id')}").json()
    assert {key: shown[key] for key in name} == name


def test_the_same_conversation_id_of_another_agent_is_another_session(site):
    conv = fresh("conv")
    ids = {site.chat("x", session={"agent_id": agent, "external_conv_id": conv}).header("x-session-id") for agent in ("a", "b", "")}
    assert len(ids) == 3


def test_64_first_messages_at_once_make_one_session_and_none_is_lost(site):
    model, name = fresh("model"), {"agent_id": "support", "external_conv_id": fresh("conv")}
    site.key()
    responses = together(lambda n: site.chat(f"message {n}", model, session=name), range(64), workers=64)
    assert [response.status for response in responses] == [200] * 64
    (session,) = {response.header("x-session-id") for response in responses}
    check_whole_turns(site.stored(session), {f"message {n}" for n in range(64)})


def test_32_turns_at_once_in_one_session_are_all_kept_each_as_an_unbroken_turn(site):
    conversation = site.conversation()
    conversation.say("message 0")
    together(lambda n: conversation.say(f"message {n}", stream=n % 2 == 0), range(1, 33), workers=32)
    check_whole_turns(conversation.stored, {f"message {n}" for n in range(33)})


def check_whole_turns(messages, texts):
    """Every question is there once, and its answer right behind it."""
    questions, answers = messages[::2], messages[1::2]
    assert {message["content"] for message in questions} == texts and len(questions) == len(texts)
    assert [message["content"] for message in answers] == [f"re: {message['content']}" for message in questions]
    assert all(message["role"] == "assistant" for message in answers)


def test_nothing_that_names_a_session_reaches_the_upstream(site):
    session, model = create(site), fresh("model")
    body = f'{{ "session_id": "{session}" , "model" : "{model}","history_mode":"auto", "x_session_id":1,"messages":[{{"role":"user","content":"x"}}]}}'
    response = site.call("POST", f"{CHAT}?a=1&session_id={session}&b=%20", body.encode(), [("X-Session-ID", session), ("X-History-Mode", "auto")])
    assert response.status == 200
    (request,) = site.sent(model)
    assert request.target == f"{CHAT}?a=1&b=%20"
    assert request.json() == {"model": model, "x_session_id": 1, "messages": [said("x")]}
    assert session.encode() not in request.raw and not request.header("X-Session-ID") and not request.header("X-History-Mode")
    assert b'"x_session_id":1' in request.body and f'"model" : "{model}"'.encode() in request.body


HOSTILE = {
    "a path upwards": "../../../../etc/passwd", "an encoded path": "..%2f..%2fetc%2fpasswd", "a Windows path": "..\\..\\x",
    "SQL": "x'; DROP TABLE sessions; --", "more SQL": '" OR ""="', "wildcards": "%_%", "letters of the world": "会話-é-😀",
    "a script": "<script>alert(1)</script>", "JSON": '{"$gt":""}', "format directives": "%s%n%x{0}", "spaces": "a b  c",
    "an e with an accent in two": "e\u0301", "the same in one": "\u00e9", "dots": "..", "one dot": ".", "a quote": "'", "200 bytes": "y" * 200,
    "null": "null", "a number": "1", "capital letters": "ABC", "small letters": "abc",
}


def test_hostile_ids_are_just_names_that_never_meet(site):
    for name in HOSTILE.values():
        create(site, id=name)
    talk = {kind: fresh("model") for kind in HOSTILE}
    for turn in range(2):
        for kind, name in HOSTILE.items():
            response = site.chat(f"{kind} {turn}", talk[kind], session_id=name)
            assert response.status == 200, (kind, response.raw)
    for kind in HOSTILE:
        texts = [message["content"] for message in site.sent(talk[kind])[1].json()["messages"]]
        assert texts == [f"{kind} 0", f"re: {kind} 0", f"{kind} 1"]


def test_two_ids_that_only_look_the_same_are_a_conflict_in_one_request(site):
    one = fresh("caf") + "\u00e9"
    two = one.replace("\u00e9", "e\u0301")
    named = create(site, id=one, agent_id="a", external_conv_id=one)
    create(site, id=two)
    error_of(site.chat("x", query=f"?session_id={quote(two)}", session_id=one), 400, "session_conflict")
    error_of(site.chat("x", session_id=named, session={"agent_id": "a", "external_conv_id": two}), 400, "session_conflict")
    assert site.chat("x", query=f"?session_id={quote(one)}", session_id=one).status == 200


REFUSED = {"10 KB": "z" * 10_240, "a NUL": "a\0b", "a line break": "a\nb", "an escape": "a\x1b[0m", "a DEL": "a\x7f", "nothing": "", "a C1 control": "a\x85b"}


@pytest.mark.parametrize("kind", REFUSED)
def test_an_id_that_cannot_be_one_is_refused_and_nothing_reaches_the_upstream(site, kind):
    model = fresh("model")
    error = error_of(site.chat("x", model, session_id=REFUSED[kind]), 400)
    assert error["param"] == "session_id" and not site.sent(model)


@pytest.mark.parametrize("raw", [b"a\0b", b"\xff\xfe", b"a\x0bb", b"x" * 60_000])
def test_a_header_that_is_no_id_never_breaks_the_gateway(site, raw):
    model = fresh("model")
    body = json.dumps({"model": model, "messages": [said("x")]}).encode()
    message = request_bytes("POST", CHAT, [*site.headers(body=body), ("X-Session-ID", "@@")], body).replace(b"@@", raw)
    with Connection(site.port) as connection:
        connection.send(message)
        assert connection.read_response().status in (200, 400, 431)
    assert site.chat("x").status == 200


@pytest.mark.parametrize("value", [7, [], "x", {"agent_id": "a"}, {"agent_id": 1, "external_conv_id": "c"}, {"external_conv_id": ""}])
def test_a_session_object_that_names_no_conversation_is_refused(site, value):
    model = fresh("model")
    assert error_of(site.chat("x", model, session=value), 400)["param"].startswith("session")
    assert not site.sent(model)


def test_an_unknown_history_mode_is_refused(site):
    error = error_of(site.chat("x", history_mode="sometimes", session_id=create(site)), 400)
    assert error["param"] == "history_mode"


def test_pages_of_messages_show_each_once_and_in_order(site):
    conversation = site.conversation()
    for number in range(6):
        conversation.say(f"message {number}")
    target = f"{SESSIONS}/{conversation.session}/messages"
    pages = [site.call("GET", f"{target}?limit=5&offset={offset}").json() for offset in (0, 5, 10)]
    assert [page["total"] for page in pages] == [12] * 3 and [page["has_more"] for page in pages] == [True, True, False]
    listed = [entry["message"]["content"] for page in pages for entry in page["data"]]
    assert listed == conversation.stored_texts and len(listed) == 12
    for query in ("?limit=0", "?limit=x", "?offset=-1", "?limit=99999999999999999999"):
        error_of(site.call("GET", target + query), 400)


def test_a_session_that_was_deleted_while_its_answer_was_on_the_way_does_not_come_back(site):
    answer = sse_answer(chat.text_events(["a"] * 100))
    conversation = site.conversation()
    conversation.say("one")
    conversation.answer(answer)
    with site.open_chat("two", conversation.model, [("X-Session-ID", conversation.session)], stream=True) as connection:
        connection.read_until(b'"content":"a"')
        assert site.call("DELETE", f"{SESSIONS}/{conversation.session}").status in (200, 204)
        assert connection.read_response().complete
    error_of(site.call("GET", f"{SESSIONS}/{conversation.session}"), 404, "session_not_found")


def test_the_first_of_two_sessions_with_one_name_wins_and_the_second_is_a_conflict(site):
    name = fresh("name")
    create(site, id=name)
    error_of(site.send("POST", SESSIONS, {"id": name}), 409, "session_exists")
    assert create(site, "bob", id=name)
