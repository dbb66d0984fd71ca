"""The sessions resource in its own words: fields, lists, messages, search, feedback, export and import."""
import json
import time

import pytest

from harness import chat
from harness.answers import json_answer, sse_answer
from harness.gateway import run
from harness.site import SESSIONS, answered, error_of, fresh, said
from harness.waiting import eventually, together

DATABASES = "both"


@pytest.fixture(scope="module")
def site(open_site):
    return open_site()


@pytest.fixture
def user():
    """Somebody who has nothing yet."""
    return fresh("user")


def create(site, user, **fields):
    response = site.send("POST", SESSIONS, fields, user=user)
    assert response.status == 201, response.raw
    return response.json()


def get(site, user, target):
    response = site.call("GET", target, user=user)
    assert response.status == 200, response.raw
    return response.json()


def add(site, user, session, *messages):
    response = site.send("POST", f"{SESSIONS}/{session}/messages", {"messages": list(messages)}, user=user)
    assert response.status == 201, response.raw
    return response.json()["data"]


FIELDS = {
    "session_name": "Plans", "model": "gpt-5", "provider": "openai", "max_history_messages": 7, "truncation": "stable", "history_mode": "append",
    "system_prompt": "Be brief.", "metadata": {"a": [1, {"b": None}]}, "metadata_tags": ["x", "会話"], "rag_document_ids": ["d1"], "agent_id": "agent",
    "source_channel": "feishu", "external_conv_id": "conv", "is_group": True, "group_name": "g", "participant_id": "p", "peer_agent_id": "q", "ttl": 3600,
}


def test_every_field_comes_back_as_it_was_given(site, user):
    made = create(site, user, **FIELDS)
    assert {key: made[key] for key in FIELDS} == FIELDS
    assert made["session_id"] == made["id"] and made["title"] == made["name"] == "Plans"
    assert made["is_active"] and made["message_count"] == 0 and made["deleted_at"] is None
    assert abs(made["expires_at"] - time.time() - 3600) < 60
    assert get(site, user, f"{SESSIONS}/{made['id']}") == made
    users = json.loads(run("users", "list", "--config", site.gateway.config_path, "--json"))
    assert made["owner"] == next(entry["id"] for entry in users if entry["name"] == user)


def test_a_session_without_fields_has_the_default_title(site, user):
    made = site.call("POST", SESSIONS, user=user).json()
    assert made["title"] == "New Conversation" and made["metadata"] == {} and made["metadata_tags"] == []


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_change_touches_what_it_names_and_null_clears(site, user, method):
    made = create(site, user, **FIELDS)
    target = f"{SESSIONS}/{made['id']}"
    changed = site.send(method, target, {"title": "New", "system_prompt": None, "metadata_tags": None, "model": None}, user=user).json()
    assert changed["title"] == "New" and changed["system_prompt"] is None and changed["metadata_tags"] == [] and changed["model"] is None
    untouched = set(FIELDS) - {"session_name", "system_prompt", "metadata_tags", "model"}
    assert {key: changed[key] for key in untouched} == {key: FIELDS[key] for key in untouched}
    for wrong in ({"title": 7}, {"title": "x" * 201}, {"truncation": "never"}, {"ttl": 0}, {"metadata": []}, {"metadata_tags": [1]}):
        error_of(site.send(method, target, wrong, user=user), 400)


CONVERSATION = {"agent_id": "other", "external_conv_id": "conv-2", "is_group": False, "group_name": "h", "participant_id": "r", "peer_agent_id": "s", "source_channel": "slack"}


@pytest.mark.parametrize("base", [SESSIONS, "/chat/sessions", "/api/v1/chat/sessions", "/api/v1/sessions"])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_where_a_session_came_from_can_be_changed_in_every_dialect(site, user, method, base):
    made = create(site, user, **FIELDS)
    target = f"{base}/{made['id']}"
    shown = lambda: {key: get(site, user, f"{SESSIONS}/{made['id']}")[key] for key in CONVERSATION}
    assert site.send(method, target, CONVERSATION, user=user).status == 200 and shown() == CONVERSATION
    assert get(site, user, SESSIONS)["total"] == 1, "it is no group session any more"
    found = site.chat("hello", user=user, session={"agent_id": "other", "external_conv_id": "conv-2"})
    assert found.header("x-session-id") == made["id"]
    for name, wrong in (("agent_id", 1), ("external_conv_id", ""), ("external_conv_id", "x" * 256), ("is_group", "yes"), ("group_name", []), ("participant_id", {}), ("peer_agent_id", False), ("source_channel", 2)):
        error_of(site.send(method, target, {"title": "no", name: wrong}, user=user), 400, "invalid_value")
    assert shown() == CONVERSATION
    assert site.send(method, target, dict.fromkeys(CONVERSATION), user=user).status == 200
    assert shown() == {**dict.fromkeys(CONVERSATION), "is_group": False}
    assert site.send(method, target, {"is_group": True}, user=user).status == 200
    assert get(site, user, SESSIONS)["total"] == 0 and get(site, user, f"{SESSIONS}?scope=all")["total"] == 1
    assert get(site, user, "/v1/chat/stats")["group_sessions"] == 1


@pytest.mark.parametrize("base", [SESSIONS, "/api/v1/chat/sessions", "/api/v1/sessions"])
def test_a_change_does_not_take_a_conversation_or_an_id_from_another_session(site, user, base):
    mine, other = create(site, user, external_conv_id="a", id=fresh("mine")), create(site, user, agent_id="x", external_conv_id="b")
    target = f"{base}/{mine['id']}"
    error_of(site.send("PATCH", target, {"agent_id": "x", "external_conv_id": "b", "title": "no"}, user=user), 409, "conversation_exists")
    assert site.send("PATCH", target, {"external_conv_id": "b"}, user=user).status == 200, "of another agent"
    error_of(site.send("PATCH", target, {"agent_id": "x"}, user=user), 409, "conversation_exists")
    for field in ("id", "session_id"):
        for name in (mine["id"], mine["external_id"]):
            assert site.send("PATCH", target, {field: name}, user=user).status == 200
        for name in (other["id"], "another"):
            error_of(site.send("PATCH", target, {field: name, "title": "no"}, user=user), 400, "session_conflict")
    shown = get(site, user, f"{SESSIONS}/{mine['id']}")
    assert (shown["agent_id"], shown["external_conv_id"], shown["title"], shown["external_id"]) == (None, "b", "New Conversation", mine["external_id"])
    site.call("DELETE", f"{SESSIONS}/{other['id']}", user=user)
    assert site.send("PATCH", target, {"agent_id": "x"}, user=user).status == 200, "a deleted session's name is free"


def test_a_deleted_session_can_be_restored_with_its_name_until_it_is_purged(site, user):
    name = fresh("mine")
    made = create(site, user, id=name)
    add(site, user, name, said("kept"))
    assert site.call("DELETE", f"{SESSIONS}/{name}", user=user).json()["deleted"]
    error_of(site.call("GET", f"{SESSIONS}/{name}", user=user), 404, "session_not_found")
    listed = get(site, user, f"{SESSIONS}?deleted=true")["data"]
    assert [entry["id"] for entry in listed] == [made["id"]] and not listed[0]["is_active"]
    restored = site.call("POST", f"{SESSIONS}/{made['id']}/restore", user=user).json()
    assert restored["external_id"] == name and restored["is_active"] and restored["message_count"] == 1
    assert get(site, user, f"{SESSIONS}/{name}")["id"] == made["id"] and get(site, user, SESSIONS)["total"] == 1
    site.call("DELETE", f"{SESSIONS}/{name}", user=user)
    other = create(site, user, id=name)
    assert site.call("POST", f"{SESSIONS}/{made['id']}/restore", user=user).json()["external_id"] is None
    assert get(site, user, f"{SESSIONS}/{name}")["id"] == other["id"]
    site.call("DELETE", f"{SESSIONS}/{made['id']}?purge=true", user=user)
    error_of(site.call("POST", f"{SESSIONS}/{made['id']}/restore", user=user), 404, "session_not_found")


def test_a_list_is_newest_activity_first_in_pages_and_by_cursor(site, user):
    ids = [create(site, user, title=f"Talk {n}", metadata_tags=["even"] if n % 2 == 0 else [], agent_id=f"a{n % 3}", source_channel="web")["id"] for n in range(7)]
    add(site, user, ids[0], said("again"))
    order = [ids[0], *reversed(ids[1:])]
    assert [entry["id"] for entry in get(site, user, SESSIONS)["data"]] == order
    pages = [get(site, user, f"{SESSIONS}?limit=3&offset={offset}") for offset in (0, 3, 6)]
    assert [entry["id"] for page in pages for entry in page["data"]] == order
    assert [page["total"] for page in pages] == [7] * 3 and [page["has_more"] for page in pages] == [True, True, False]
    found, cursor = [], ""
    while cursor is not None:
        page = get(site, user, f"{SESSIONS}?limit=3" + (f"&cursor={cursor}" if cursor else ""))
        found, cursor = found + [entry["id"] for entry in page["data"]], page["next_cursor"]
    assert found == order
    for query, count in (("tag=even", 4), ("agent_id=a1", 2), ("source_channel=web", 7), ("channel=slack", 0), ("title=tALK%204", 1), ("title=%25", 0), ("q=_", 0)):
        page = get(site, user, f"{SESSIONS}?{query}&limit=2")
        assert page["total"] == count and len(page["data"]) == min(2, count) and page["has_more"] == (count > 2), query
    tagged = get(site, user, f"{SESSIONS}?tag=even&limit=2")
    rest = get(site, user, f"{SESSIONS}?tag=even&limit=2&cursor={tagged['next_cursor']}")
    assert [entry["id"] for entry in tagged["data"] + rest["data"]] == [ids[0], ids[6], ids[4], ids[2]]


def test_a_list_of_deleted_sessions_begins_with_the_last_deleted(site, user):
    ids = [create(site, user, title=f"Talk {n}", metadata_tags=["even"] if n % 2 == 0 else [], is_group=n == 3)["id"] for n in range(7)]
    order = [ids[n] for n in (4, 0, 6, 3, 1)]
    for session in reversed(order):
        assert site.call("DELETE", f"{SESSIONS}/{session}", user=user).status == 200
    for limit in (1, 2, 5):
        found, cursor = [], ""
        while cursor is not None:
            page = get(site, user, f"{SESSIONS}?deleted=true&limit={limit}" + (f"&cursor={cursor}" if cursor else ""))
            found, cursor = found + [entry["id"] for entry in page["data"]], page["next_cursor"]
            assert page["total"] == 5
        assert found == order, limit
    assert [entry["id"] for entry in get(site, user, f"{SESSIONS}?deleted=true&limit=2&offset=3")["data"]] == order[3:]
    page = get(site, user, f"{SESSIONS}?deleted=true&tag=even&limit=2")
    rest = get(site, user, f"{SESSIONS}?deleted=true&tag=even&cursor={page['next_cursor']}")
    assert [entry["id"] for entry in page["data"] + rest["data"]] == [ids[4], ids[0], ids[6]]
    for query in (f"deleted=true&cursor={get(site, user, SESSIONS + '?limit=1')['next_cursor']}", f"cursor={page['next_cursor']}", "deleted=true&cursor=1_x_0_1_2"):
        error_of(site.call("GET", f"{SESSIONS}?{query}", user=user), 400, "invalid_cursor")


def test_group_sessions_are_listed_only_with_scope_all(site, user):
    own, group = create(site, user), create(site, user, is_group=True, group_name="g")
    assert [entry["id"] for entry in get(site, user, SESSIONS)["data"]] == [own["id"]] and get(site, user, SESSIONS)["total"] == 1
    whole = get(site, user, f"{SESSIONS}?scope=all")
    assert [entry["id"] for entry in whole["data"]] == [group["id"], own["id"]] and whole["total"] == 2
    error_of(site.call("GET", f"{SESSIONS}?scope=everything", user=user), 400)


def test_messages_are_appended_with_everything_beside_them(site, user):
    session = create(site, user)["id"]
    sent = {"role": "user", "content": [{"type": "text", "text": "hello"}], "x-own": {"n": 1.50}, "chapter": "one", "citations": ["https://a"], "metadata": {"k": 1}, "tokens": 3}
    stored = site.send("POST", f"{SESSIONS}/{session}/messages", sent, user=user).json()
    assert stored["message"] == {"role": "user", "content": sent["content"], "x-own": {"n": 1.5}}
    assert {key: stored[key] for key in ("content", "chapter", "citations", "metadata", "tokens", "sequence", "status")} == {
        "content": sent["content"], "chapter": "one", "citations": ["https://a"], "metadata": {"k": 1}, "tokens": 3, "sequence": 1, "status": "complete",
    }
    add(site, user, session, {"role": "assistant", "content": "hi", "model": "m"}, said("bye"))
    assert [entry["role"] for entry in get(site, user, f"{SESSIONS}/{session}/messages?order=desc")["data"]] == ["user", "assistant", "user"]
    assert [entry["id"] for entry in get(site, user, f"{SESSIONS}/{session}/messages?chapter=one")["data"]] == [1]
    answer = get(site, user, f"{SESSIONS}/{session}/messages/2")
    assert answer["model"] == "m" and answer["status"] == "imported"
    assert get(site, user, f"{SESSIONS}/{session}")["message_count"] == 3
    for wrong in ({"role": "critic", "content": "x"}, {"content": "x"}, {"role": "user", "content": 7}, {"role": "user"}, {"messages": []}, {"messages": [said("ok"), {"role": "x"}]}):
        error_of(site.send("POST", f"{SESSIONS}/{session}/messages", wrong, user=user), 400)
    assert get(site, user, f"{SESSIONS}/{session}")["message_count"] == 3, "a batch is stored whole or not at all"


def test_appended_messages_are_part_of_the_next_chat(site, user):
    session, model = create(site, user, system_prompt="Be brief.")["id"], fresh("model")
    add(site, user, session, said("one"), {"role": "assistant", "content": "two", "citations": ["x"]})
    assert site.chat("three", model, user=user, session_id=session).status == 200
    assert site.sent(model)[0].json()["messages"] == [{"role": "system", "content": "Be brief."}, said("one"), {"role": "assistant", "content": "two"}, said("three")]


def test_an_edit_and_a_message_move_updated_at_and_a_message_the_last_activity(site, user):
    made = create(site, user)
    time.sleep(1.1)  # the API's times are whole seconds
    renamed = site.send("PATCH", f"{SESSIONS}/{made['id']}", {"title": "x"}, user=user).json()
    assert renamed["updated_at"] > made["updated_at"] and renamed["last_message_at"] == made["last_message_at"]
    add(site, user, made["id"], said("x"))
    assert get(site, user, f"{SESSIONS}/{made['id']}")["last_message_at"] > made["last_message_at"]


def test_every_message_and_every_edit_moves_updated_at(site, user):
    name = fresh("moving")
    session = create(site, user, id=name)["id"]
    target, times = f"{SESSIONS}/{session}", []

    def moved(what, response):
        assert response.status in (200, 201), (what, response.raw)
        # This dialect shows microseconds.
        times.append(get(site, user, f"/api/v1/sessions/{session}")["last_updated_at"])
        assert len(times) < 2 or times[-1] > times[-2], what

    moved("creation", site.call("GET", target, user=user))
    for text in ("one", "two"):
        moved("a chat turn", site.chat(text, user=user, session_id=name))
    moved("a streamed turn", site.chat("three", user=user, session_id=name, stream=True))
    moved("a message", site.send("POST", f"{target}/messages", said("x"), user=user))
    moved("a batch", site.send("POST", f"{target}/messages/batch", {"messages": [said("x"), answered("y")]}, user=user))
    moved("a message in another dialect", site.send("POST", f"/api/v1/sessions/{session}/messages", said("z"), user=user))
    for method in ("PUT", "PATCH"):
        for base in (SESSIONS, "/api/v1/sessions", "/api/v1/chat/sessions"):
            moved(f"{method} {base}", site.send(method, f"{base}/{session}", {"title": fresh("title"), "name": fresh("title")}, user=user))
    for fields in ({"system_prompt": "Be brief."}, {"metadata": {"a": 1}}, {"group_name": "g"}, {"agent_id": "a"}, {"ttl": 1000}):
        moved(fields, site.send("PATCH", target, fields, user=user))
    assert get(site, user, target)["message_count"] == 10


def test_a_batch_is_stored_in_its_order_or_not_at_all(site, user):
    session = create(site, user)["id"]
    for base in (SESSIONS, "/chat/sessions"):
        target = f"{base}/{session}/messages/batch"
        messages = [said("one"), answered("two"), {"role": "system", "content": "three"}, {"role": "user", "content": [{"type": "text", "text": "four"}]}]
        before = [entry["id"] for entry in get(site, user, f"{SESSIONS}/{session}/messages?limit=1000")["data"]]
        stored = site.send("POST", target, {"messages": messages}, user=user)
        assert stored.status == 201 and stored.json()["object"] == "list"
        data = stored.json()["data"]
        assert [entry["message"] for entry in data] == messages and [entry["id"] for entry in data] == list(range(len(before) + 1, len(before) + 5))
        assert get(site, user, f"{SESSIONS}/{session}/messages?limit=1000")["data"][len(before):] == data
        for wrong in (said("single"), {}, {"messages": []}, {"messages": said("x")}, {"messages": [said("x"), {"role": "critic", "content": "y"}]}, {"messages": [said("x"), {"role": "user"}]}, {"messages": [said("x")] * 1001}):
            error_of(site.send("POST", target, wrong, user=user), 400)
        assert get(site, user, f"{SESSIONS}/{session}")["message_count"] == len(before) + 4
    error_of(site.send("POST", f"{SESSIONS}/nobody/messages/batch", {"messages": [said("x")]}, user=user), 404, "session_not_found")


CITED = {"role": "assistant", "content": "see", "annotations": [{"type": "url_citation", "url_citation": {"url": "https://a"}}, {"type": "other"}]}


def test_chapter_and_citations_of_a_chat_are_kept(site, user):
    model, session = fresh("model"), create(site, user)["id"]
    site.script(model, json_answer({**chat.completion("x"), "choices": [{"index": 0, "message": CITED, "finish_reason": "stop"}]}))
    assert site.chat("one", model, user=user, session_id=session, chapter="intro").status == 200
    assert "chapter" not in site.sent(model)[0].json()
    streamed = fresh("model")
    events = [event.replace(b'"choices"', b'"citations":["https://b"],"choices"', 1) for event in chat.text_events(["x", "y"])]
    site.script(streamed, sse_answer(events))
    assert site.chat("two", streamed, user=user, session_id=session, stream=True).status == 200
    shown = get(site, user, f"{SESSIONS}/{session}/messages")["data"]
    assert [entry["chapter"] for entry in shown] == ["intro", "intro", None, None]
    assert shown[1]["citations"] == CITED["annotations"][:1] and shown[3]["citations"] == ["https://b"]
    assert shown[1]["status"] == "complete" and shown[1]["model"]
    assert [entry["id"] for entry in get(site, user, f"/api/v1/history?session_id={session}&chapter=intro")["messages"]] == [1, 2]


@pytest.mark.parametrize("stream", [False, True])
def test_what_a_requests_messages_cite_is_kept_and_not_sent(site, user, stream):
    model, session = fresh("model"), create(site, user)["id"]
    cited = [{**said("one"), "citations": ["https://a", {"n": 1.50}]}, {**said("two"), "citations": None}, {**said("three"), "citations": []}, said("say “citations”")]
    plain = [{key: value for key, value in message.items() if key != "citations"} for message in cited]
    assert site.chat(cited, model, user=user, session_id=session, stream=stream).status == 200
    assert site.sent(model)[-1].json()["messages"] == plain
    shown = get(site, user, f"{SESSIONS}/{session}/messages")["data"]
    assert [entry["citations"] for entry in shown] == [["https://a", {"n": 1.5}], [], [], [], []]
    assert [entry["message"] for entry in shown[:4]] == plain
    # A client that shows them again, or no more, is recognised: nothing is stored twice or sent with them.
    for again in (cited, plain):
        whole = [*again, shown[4]["message"], {**said("and"), "citations": ["https://b"]}]
        assert site.chat(whole, model, user=user, session_id=session, history_mode="replace" if again is plain else "auto").status == 200
        assert site.sent(model)[-1].json()["messages"] == [*plain, shown[4]["message"], said("and")]
        entries = get(site, user, f"{SESSIONS}/{session}/messages")["data"]
        assert [entry["citations"] for entry in entries] == [["https://a", {"n": 1.5}], [], [], [], [], ["https://b"], []]
    assert site.chat("next", model, user=user, session_id=session).status == 200
    assert not any("citations" in message for message in site.sent(model)[-1].json()["messages"])
    error_of(site.chat([{**said("x"), "citations": "https://a"}], model, user=user, session_id=session), 400, "invalid_value")
    # Without a session a request is not Turnpike's to change.
    assert site.chat(cited, model, user=user).status == 200 and site.sent(model)[-1].json()["messages"] == cited


def test_what_answers_cite_is_kept_with_them(site, user):
    session = create(site, user)["id"]
    annotations = [{"type": "url_citation", "url_citation": {"url": "https://c", "title": "é"}}]
    chunks = [chat.delta({"role": "assistant", "content": "s"}), chat.delta({"content": "t", "annotations": annotations}), chat.delta({"content": "u"})]
    answers = [json_answer({**chat.completion("x"), "citations": ["https://a"]}), sse_answer(chat.finished(chunks, "stop", usage=False))]
    for answer, stream in zip(answers, (False, True)):
        model = site.script(fresh("model"), answer)
        assert site.chat("hello", model, user=user, session_id=session, stream=stream).status == 200
    shown = get(site, user, f"{SESSIONS}/{session}/messages")["data"]
    assert [entry["citations"] for entry in shown] == [[], ["https://a"], [], annotations]
    history = get(site, user, f"/api/v1/history?session_id={session}")["messages"]
    assert [entry["citations"] for entry in history] == [[], ["https://a"], [], annotations]


def test_64_first_messages_with_one_conversation_make_one_session_with_a_title(site, user):
    name, model = {"agent_id": "support", "external_conv_id": fresh("conv"), "source_channel": "discord"}, fresh("model")
    site.key(user)
    answers = together(lambda n: site.chat(f"please help me with {n}", model, user=user, session=name), range(64), workers=64)
    (session,) = {answer.header("x-session-id") for answer in answers}
    shown = get(site, user, f"{SESSIONS}/{session}")
    assert shown["title"].startswith("please help me with ") and shown["message_count"] == 128
    assert shown["model"] == model and shown["provider"] == "scripted"
    assert get(site, user, SESSIONS)["total"] == 1


SEARCHED = {
    "会話": "昨日の会話を要約して", "straße": "Die STRASSE ist lang", "ΟΔΟΣ": "η οδος", "привет": "ПРИВЕТ, мир", "100%": "it is 100% sure", "under_score": "an under_score here",
    "caf\u00e9": "un CAFE\u0301 noir", "शब्द": "एक शब्द यहाँ", "مرحبا": "قال مرحبا", "quote\"": "a quote\" inside", "back\\slash": "a back\\slash", "😀": "fun 😀 fun",
}


def test_search_finds_every_script_in_any_case_and_nothing_is_a_wildcard(site, user):
    session = create(site, user)["id"]
    add(site, user, session, *[said(text) for text in SEARCHED.values()])
    for query, text in SEARCHED.items():
        for asked in {query, query.upper(), query.lower()}:
            found = site.send("POST", "/v1/chat/search", {"query": asked}, user=user).json()
            assert [hit["snippet"] for hit in found["data"]] == [text], (asked, found)
    for wildcard in ("%", "_", "*", "c.f"):
        hits = site.send("POST", "/v1/chat/search", {"query": wildcard}, user=user).json()["data"]
        assert all(wildcard in hit["snippet"] for hit in hits), wildcard


def test_search_walks_newest_first_over_titles_and_messages_and_goes_on_with_its_cursor(site, user):
    first, second = create(site, user, title="A needle in the title")["id"], create(site, user)["id"]
    add(site, user, first, said("needle one"), said("nothing"), said("needle two"))
    add(site, user, second, *[said(f"needle {n}") for n in range(5)])
    expected = [(second, n) for n in range(5, 0, -1)] + [(first, None), (first, 3), (first, 1)]
    for limit in (1, 2, 3, 100):
        found, cursor = [], None
        while True:
            page = site.send("POST", "/v1/chat/search", {"query": "NEEDLE", "limit": limit, "cursor": cursor}, user=user).json()
            found, cursor = found + [(hit["session_id"], hit["message_id"]) for hit in page["data"]], page["next_cursor"]
            if cursor is None:
                break
        assert found == expected, limit
    site.call("DELETE", f"{SESSIONS}/{second}", user=user)
    assert {hit["session_id"] for hit in get(site, user, "/chat/search?q=needle")["data"]} == {first}
    for wrong in ({}, {"query": ""}, {"query": "x" * 2000}, {"query": "x", "cursor": "1"}, {"query": "x", "limit": 0}):
        error_of(site.send("POST", "/v1/chat/search", wrong, user=user), 400)


def test_feedback_is_given_replaced_summed_and_taken_back(site, user):
    session = create(site, user)["id"]
    add(site, user, session, said("one"), said("two"))
    target = f"{SESSIONS}/{session}/messages/1/feedback"
    assert site.send("POST", target, {"thumb": "down", "score": 1, "comment": "no"}, user=user).json()["thumb"] == "down"
    assert site.send("PUT", target, {"thumb": "up", "score": 4.5}, user=user).json()["comment"] is None
    assert site.send("POST", f"{SESSIONS}/{session}/feedback", {"score": 2}, user=user).json()["message_id"] is None
    sums = get(site, user, "/v1/chat/feedback/stats")
    assert (sums["count"], sums["thumbs_up"], sums["thumbs_down"], sums["scores"], sums["average_score"]) == (2, 1, 0, 2, 3.25)
    assert get(site, user, "/v1/chat/stats")["feedback"] == sums and get(site, user, f"{SESSIONS}/{session}/feedback/all")["total"] == 2
    error_of(site.send("POST", f"{SESSIONS}/{session}/messages/9/feedback", {"thumb": "up"}, user=user), 404, "message_not_found")
    for wrong in ({}, {"thumb": "sideways"}, {"score": "5"}, {"comment": "x" * 10_001}):
        error_of(site.send("POST", target, wrong, user=user), 400)
    assert site.call("DELETE", target, user=user).status == 204
    error_of(site.call("GET", target, user=user), 404, "feedback_not_found")


NEW_WITH_AN_IMPORT = {"id", "session_id", "created_at", "updated_at", "last_message_at", "expires_at", "turn_id", "prompt_tokens", "completion_tokens"}


def export_of(site, user):
    """What a user has, without what an import makes anew: by the session's order, the messages with their times."""
    sessions = get(site, user, "/v1/chat/export")["sessions"]
    times = [[message["created_at"] for message in entry["messages"]] for entry in sessions]
    return stripped(sessions, NEW_WITH_AN_IMPORT), times, stripped(get(site, user, "/v1/chat/stats"), NEW_WITH_AN_IMPORT)


def full_sessions(site, user):
    """A session with everything, one that was chatted in, and one without anything; the id of the first."""
    session = create(site, user, id="mine", **FIELDS)["id"]
    add(site, user, session, {**said("one"), "chapter": "c", "citations": ["x"], "metadata": {"k": 1}, "tokens": 4}, {"role": "assistant", "content": None, "tool_calls": [{"id": "t"}], "model": "m"}, {"role": "tool", "tool_call_id": "t", "content": "r"})
    add(site, user, session, said("two"), answered("three"))
    for place, feedback in (("", {"score": 2.25}), ("/messages/2", {"thumb": "down", "comment": "no 💤"}), ("/messages/5", {"thumb": "up"})):
        assert site.send("POST", f"{SESSIONS}/{session}{place}/feedback", feedback, user=user).status == 201
    assert site.chat("hello", user=user, session={"agent_id": "shop", "external_conv_id": "order", "is_group": False}).status == 200
    create(site, user, title="Empty")
    return session


def test_what_is_erased_comes_back_by_an_import_as_it_was(site, user):
    session = full_sessions(site, user)
    export, before = get(site, user, "/v1/chat/export"), export_of(site, user)
    assert [entry["title"] for entry in export["sessions"]] == ["Empty", "hello", "Plans"]
    assert export["sessions"][2]["feedback"]["score"] == 2.25 and export["sessions"][2]["messages"][1]["feedback"]["comment"] == "no 💤"
    assert site.call("DELETE", f"{SESSIONS}?confirm=erase", user=user).json()["sessions"] == 3
    imported = site.send("POST", "/v1/chat/import", export, user=user)
    assert imported.status == 201 and imported.json()["sessions"] == 3 and imported.json()["messages"] == 7
    assert export_of(site, user) == before
    became = imported.json()["data"]
    assert [entry["from"]["session_id"] for entry in became] == [entry["id"] for entry in export["sessions"]]
    assert [entry["session_id"] for entry in became] == imported.json()["session_ids"] == [entry["id"] for entry in get(site, user, "/v1/chat/export")["sessions"]]
    assert became[2]["from"] == {"session_id": session, "external_id": "mine", "external_conv_id": "conv"} and became[2]["external_id"] == "mine"
    # A client goes on under its own names, in the middle of the conversation.
    model = fresh("model")
    assert site.chat("more", model, user=user, session_id="mine").status == 200
    assert [message["role"] for message in site.sent(model)[0].json()["messages"]][-3:] == ["user", "assistant", "user"]
    assert site.chat("more", user=user, session={"agent_id": "shop", "external_conv_id": "order"}).header("x-session-id") == became[1]["session_id"]


def test_an_import_beside_what_is_there_gets_new_names_and_touches_nothing(site, user):
    full_sessions(site, user)
    export, before = get(site, user, "/v1/chat/export"), get(site, user, "/v1/chat/export")["sessions"]
    imported = site.send("POST", "/v1/chat/import", export, user=user).json()
    assert [(entry["external_id"], entry["external_conv_id"]) for entry in imported["data"]] == [(None, None)] * 3
    assert imported["data"][2]["from"]["external_id"] == "mine"
    sessions = get(site, user, "/v1/chat/export")["sessions"]
    assert sessions[3:] == before and stripped(sessions[:3], NEW_WITH_AN_IMPORT | {"external_id", "external_conv_id"}) == stripped(before, NEW_WITH_AN_IMPORT | {"external_id", "external_conv_id"})
    # In another user's name space they are free, and of one name in a file the first has it.
    receiver = fresh("receiver")
    twice = {"sessions": [{"id": "tea", "title": "first"}, {"id": "tea", "title": "second"}, {"external_id": "mine"}]}
    answer = site.send("POST", "/v1/chat/import", twice, user=receiver).json()["data"]
    assert [entry["external_id"] for entry in answer] == ["tea", None, "mine"] and answer[1]["from"]["external_id"] == "tea"
    assert get(site, receiver, f"{SESSIONS}/tea")["title"] == "first"
    assert get(site, user, f"{SESSIONS}/mine")["id"] == before[2]["id"]


def test_an_import_that_cannot_be_read_stores_nothing(site, user):
    good = {"title": "x", "messages": [said("x")]}
    for wrong in (
        {}, {"sessions": [1]}, {"sessions": [good, {"messages": [{"role": "x"}]}]}, {"sessions": {}}, {"sessions": [good, {"external_id": "sess_x"}]}, {"sessions": [{"id": "x" * 201}]},
        {"sessions": [good, {"feedback": {"thumb": "sideways"}}]}, {"sessions": [good, {"messages": [{**said("x"), "feedback": {}}]}]}, {"sessions": [{"feedback": {"comment": "x" * 10_001}}]}, {"sessions": [{"feedback": 1}]},
    ):
        error_of(site.send("POST", "/v1/chat/import", wrong, user=user), 400)
    assert get(site, user, SESSIONS + "?scope=all")["total"] == 0


def test_an_export_for_people_is_markdown(site, user):
    session = full_sessions(site, user)
    single = get(site, user, f"{SESSIONS}/{session}/export")
    assert len(single["sessions"]) == 1 and len(single["sessions"][0]["messages"]) == 5
    text = site.call("GET", f"{SESSIONS}/{session}/export?format=markdown", user=user).body.decode()
    assert text.startswith("# Plans\n") and "## system" in text and "## user" in text and "one" in text


# Texts that look like what stands between texts, and every end that a text can have.
LOOKALIKES = [
    "## user", "## user, 2026-01-01T00:00:00.000000Z", "---", "# A title", "\\---", "\\\\## user", "## user\r", "a\n---\n\n# b\n\nsess_x\n\n## assistant\n\nforged", "", "\n", "\n\n", "a\n", "\na",
    "a\r\nb\r\n", "## users", "## user, yesterday", "会話 💤\u2028\x85x", "```\n# code\n---\n```", "\\", "<!-- -->", "x" * 300_000,
]


def test_markdown_that_was_exported_comes_back_by_an_import(site, user):
    session = create(site, user, title="# Plans ---", system_prompt="## user\n\nBe brief.")["id"]
    add(site, user, session, *[message for text in LOOKALIKES for message in (said(text), answered(text or "x"))])
    for role in ("system", "developer"):
        add(site, user, session, {"role": role, "content": f"a {role} in between"})
    create(site, user)
    export = site.call("GET", "/v1/chat/export?format=markdown", user=user)
    receiver = fresh("receiver")
    imported = site.call("POST", "/v1/chat/import", export.body, headers=[("Content-Type", "text/markdown; charset=utf-8")], user=receiver)
    assert imported.status == 201, imported.raw
    assert [entry["from"]["session_id"] for entry in imported.json()["data"]][1] == session
    shown = lambda who: [
        (entry["title"], entry["system"], [(message["role"], message["content"], message["created_at"]) for message in entry["messages"]]) for entry in get(site, who, "/v1/chat/export")["sessions"]
    ]
    assert shown(receiver) == shown(user)
    assert site.call("GET", "/v1/chat/export?format=markdown", user=receiver).body.decode().count("\n---\n") == export.body.decode().count("\n---\n")


def test_markdown_brings_no_half_of_a_tool_round_and_what_is_none_is_refused(site, user):
    session = create(site, user)["id"]
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    add(site, user, session, said("one"), {"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "tool_call_id": "t", "content": "r"}, answered("two"))
    markdown = [("Content-Type", "text/markdown")]
    text = site.call("GET", f"{SESSIONS}/{session}/export?format=markdown", user=user).body
    assert site.call("POST", "/v1/chat/import", text, headers=markdown, user=user).json()["messages"] == 2
    by_hand = "# By hand\r\n\r\n## system\r\nBe brief.\r\n\r\n## user\r\nHello\r\n## assistant, 2026-01-01T00:00:00Z\r\n\r\nHi"
    made = site.call("POST", "/v1/chat/import", by_hand.encode(), headers=markdown, user=user).json()
    (entry,) = get(site, user, f"{SESSIONS}/{made['session_ids'][0]}/export")["sessions"]
    assert entry["title"] == "By hand" and len(entry["system"]) == 1 and [message["content"].strip() for message in entry["messages"]] == ["Hello", "Hi"]
    assert entry["messages"][1]["created_at"] == 1767225600
    before = get(site, user, SESSIONS)["total"]
    for wrong in (b"", b"text", b"# T\n\ntext", b"## user\n\nx", b"# T\n\n## user\n\n\xff", b'{"sessions": []}', b"# T\n\nsess_a\nsess_b\n", b"# " + b"x" * 201):
        error_of(site.call("POST", "/v1/chat/import", wrong, headers=markdown, user=user), 400, "invalid_value")
    assert get(site, user, SESSIONS)["total"] == before


def stripped(value, names):
    """A JSON value without some members, at any depth."""
    if isinstance(value, dict):
        return {key: stripped(entry, names) for key, entry in value.items() if key not in names}
    return [stripped(entry, names) for entry in value] if isinstance(value, list) else value


def test_a_long_export_is_streamed(site, user):
    session = create(site, user)["id"]
    for _ in range(4):
        add(site, user, session, *[said("x" * 1_000) for _ in range(500)])
    export = site.call("GET", "/v1/chat/export", user=user, timeout=60)
    assert export.header("transfer-encoding") == "chunked" and len(json.loads(export.body)["sessions"][0]["messages"]) == 2_000


def test_expired_sessions_are_gone_and_their_names_free(site, user):
    name = fresh("short")
    made = create(site, user, id=name, ttl=1)
    add(site, user, name, said("needle"))
    kept = create(site, user)
    time.sleep(1.5)
    for target in (f"{SESSIONS}/{name}", f"{SESSIONS}/{made['id']}", f"/api/v1/history?session_id={made['id']}", f"/api/v1/sessions/{made['id']}/messages"):
        error_of(site.call("GET", target, user=user), 404, "session_not_found")
    error_of(site.chat("x", user=user, session_id=name), 404, "session_not_found")
    assert get(site, user, "/v1/chat/search?query=needle")["data"] == []
    listed = get(site, user, SESSIONS)
    assert [entry["id"] for entry in listed["data"]] == [kept["id"]] and listed["total"] == 1
    assert create(site, user, id=name)["id"] != made["id"]


def test_limits_on_sessions_and_messages_have_clear_errors(open_site):
    limits = {"max_per_user": 2, "max_messages_per_session": 4, "users": {"erin": {"max_per_user": 1, "ttl": "1h", "max_messages_per_user": 3}}}
    site = open_site(plugins={"session": {**limits, "title": "first_message"}})
    site.key("alice")
    answers = together(lambda n: site.send("POST", SESSIONS, {"id": f"s{n}"}), range(16), workers=16)
    assert sorted(answer.status for answer in answers) == [201] * 2 + [403] * 14
    error_of(site.chat("x", headers=[("X-Session-ID", "another")]), 403, "session_limit_reached")
    name = next(entry["external_id"] for entry in get(site, "alice", SESSIONS)["data"])
    for text in ("the first words of it", "two"):
        assert site.chat(text, session_id=name).status == 200
    error_of(site.chat("three", session_id=name), 403, "message_limit_reached")
    error_of(site.send("POST", f"{SESSIONS}/{name}/messages", said("x")), 403, "message_limit_reached")
    assert get(site, "alice", f"{SESSIONS}/{name}")["title"] == "the first words of it"
    site.call("DELETE", f"{SESSIONS}/{name}")
    assert site.send("POST", SESSIONS, {}).status == 201
    made = create(site, "erin")
    assert made["ttl"] == 3600 and site.send("POST", SESSIONS, {}, user="erin").status == 403
    add(site, "erin", made["id"], said("1"), said("2"), said("3"))
    error_of(site.send("POST", f"{SESSIONS}/{made['id']}/messages", said("4"), user="erin"), 403, "message_limit_reached")


def test_a_restored_branch_counts_against_the_limits(open_site):
    site = open_site(plugins={"session": {"max_messages_per_session": 8}})
    conversation = site.conversation()
    for text in ("one", "two"):
        conversation.say(text)
    conversation.say([said("one"), answered("re: one"), said("another")])
    branches = f"{SESSIONS}/{conversation.session}/branches"
    (branch,) = site.call("GET", branches).json()["data"]
    assert site.call("POST", f"{branches}/{branch['id']}/restore").status == 200
    (*_, newest) = site.call("GET", branches).json()["data"]
    before = conversation.stored_texts
    error_of(site.call("POST", f"{branches}/{newest['id']}/restore"), 403, "message_limit_reached")
    assert conversation.stored_texts == before


def test_what_a_chat_is_going_to_store_counts_for_others_too(open_site):
    site = open_site(plugins={"session": {"max_messages_per_user": 4}})
    session, model = create(site, "alice")["id"], fresh("model")
    site.script(model, json_answer({}).stalled_at(0))
    with site.open_chat("x", model, [("X-Session-ID", session)]):
        eventually(lambda: site.sent(model))
        path = f"{SESSIONS}/{session}/messages"
        error_of(site.send("POST", path, {"messages": [said("1"), said("2"), said("3")]}), 403, "message_limit_reached")
        assert site.send("POST", path, {"messages": [said("1"), said("2")]}).status == 201
        error_of(site.send("POST", "/v1/chat/import", {"sessions": [{"messages": [said("4")]}]}), 403, "message_limit_reached")
        assert get(site, "alice", SESSIONS)["total"] == 1
    eventually(lambda: site.send("POST", path, said("3")).status == 201)


def test_64_requests_at_once_do_not_pass_a_limit(open_site):
    site = open_site(plugins={"session": {"max_messages_per_user": 20, "users": {"counter": {"max_per_user": 5}}}})
    sessions = [create(site, "talker")["id"] for _ in range(8)]
    chats = together(lambda n: site.chat(f"m{n}", user="talker", session_id=sessions[n % 8]), range(64), workers=64)
    done = [answer.status for answer in chats].count(200)
    assert 0 < done <= 10 and sorted({answer.status for answer in chats}) == [200, 403]
    appended = together(lambda n: site.send("POST", f"{SESSIONS}/{sessions[n % 8]}/messages", said("x"), user="talker"), range(64), workers=64)
    assert [answer.status for answer in appended].count(201) == 20 - 2 * done
    assert get(site, "talker", "/v1/chat/stats")["messages"] == 20
    site.key("counter")
    made = together(lambda n: site.send("POST", SESSIONS, {"title": f"{n}"}, user="counter"), range(64), workers=64)
    assert [answer.status for answer in made].count(201) == 5 and get(site, "counter", SESSIONS)["total"] == 5
    deleted = get(site, "counter", SESSIONS)["data"][0]["id"]
    assert site.call("DELETE", f"{SESSIONS}/{deleted}", user="counter").status == 200
    create(site, "counter")
    error_of(site.call("POST", f"{SESSIONS}/{deleted}/restore", user="counter"), 403, "session_limit_reached")


def test_an_import_beyond_a_limit_stores_nothing(open_site):
    site = open_site(plugins={"session": {"max_per_user": 2, "max_messages_per_session": 3, "max_messages_per_user": 4}})
    site.key("alice")

    def imported(*sizes):
        sessions = [{"messages": [said("x")] * size} for size in sizes]
        return site.send("POST", "/v1/chat/import", {"sessions": sessions}, user="alice")

    for sizes, code in (((1, 1, 1), "session_limit_reached"), ((1, 4), "message_limit_reached"), ((3, 2), "message_limit_reached")):
        error_of(imported(*sizes), 403, code)
        assert get(site, "alice", SESSIONS)["total"] == get(site, "alice", "/v1/chat/stats")["messages"] == 0, sizes
    assert imported(3, 1).status == 201
    error_of(imported(0), 403, "session_limit_reached")


def test_a_filtered_list_or_a_search_that_takes_too_long_goes_on_with_its_cursor(open_site):
    site = open_site(plugins={"session": {"search_time": "0s"}})
    for n in range(12):
        create(site, "alice", title=f"Talk {n}", metadata_tags=["x"] if n % 3 == 0 else [])
    expected = [entry["id"] for entry in get(site, "alice", SESSIONS)["data"] if entry["metadata_tags"]]
    found, cursor, pages = [], "", 0
    while cursor is not None:
        page = get(site, "alice", f"{SESSIONS}?tag=x&limit=3" + (f"&cursor={cursor}" if cursor else ""))
        assert page["total"] is None or page["total"] == 4
        found, cursor, pages = found + [entry["id"] for entry in page["data"]], page["next_cursor"], pages + 1
    assert found == expected and len(found) == 4 and pages > 4, "a page may be empty, and go on"
    response = site.call("GET", "/api/v1/sessions?tag=x")
    assert response.status == 200 and response.header("x-next-cursor")
    for n in range(3):
        add(site, "alice", expected[n], said("a needle"), said("nothing"))
    hits, cursor, pages = [], None, 0
    while pages == 0 or cursor is not None:
        page = site.send("POST", "/v1/chat/search", {"query": "needle", "limit": 2, "cursor": cursor}).json()
        hits, cursor, pages = hits + [hit["session_id"] for hit in page["data"]], page["next_cursor"], pages + 1
    assert hits == [expected[2], expected[1], expected[0]] and pages > 3
