"""Budgets and cuts, the dry run, the shadow, branches, fallback to a smaller model."""
import re
import threading

import pytest

from harness import chat
from harness.answers import error_answer, json_answer
from harness.ports import free_port
from harness.site import CHAT, SESSIONS, answered, error_of, fresh, said
from harness.upstream import ScriptedUpstream

MEMORY = 1_000  # the context of models that nobody knows, in the sites of this file


@pytest.fixture(scope="module")
def site(open_site):
    return open_site(plugins={"history": {"default_context_window": MEMORY, "max_history_messages": 200}})


def noted(response):
    """The fields of the x-turnpike-history header."""
    return dict(re.findall(r"(\w+)=(\w+)", response.header("x-turnpike-history")))


def talk_long(conversation, turns, words=20):
    """Many turns; what the upstream got in each of them."""
    sent = []
    for number in range(turns):
        response = conversation.say(f"{number} " + "word " * words)
        sent.append((conversation.seen, noted(response)))
    return sent


def test_the_prefix_stays_the_same_between_cuts(site):
    sent = talk_long(site.conversation(), 60)
    changes = sum(later[: len(earlier)] != earlier for (earlier, _), (later, _) in zip(sent, sent[1:]))
    assert 2 <= changes <= 20
    for messages, header in sent:
        assert int(header.get("tokens", 0)) <= int(header.get("budget", MEMORY))
    assert sent[-1][1]["reason"] == "assumed_context" and int(sent[-1][1]["dropped"]) > 0


def preview(site, session, messages, user="alice", **fields):
    return site.send("POST", f"{SESSIONS}/{session}/preview", {"model": "m", "messages": messages, **fields}, user=user)


def test_a_dry_run_shows_the_request_that_is_then_sent(site):
    conversation = site.conversation()
    for text in ("one", "two"):
        conversation.say(text)
    shown = site.send(
        "POST", f"{SESSIONS}/{conversation.session}/preview",
        {"model": conversation.model, "messages": [said("three")], "temperature": 0.5})
    assert shown.status == 200, shown.raw
    plan = shown.json()
    assert plan["object"] == "chat.session.preview" and plan["provider"] == "scripted"
    assert plan["history"]["injected"] == 4 and plan["history"]["new_messages"] == 1
    assert plan["history"]["context_window"] == MEMORY and plan["history"]["context_window_assumed"] is True
    assert noted(shown)["injected"] == "4"
    assert len(conversation.stored) == 4 and len(site.sent(conversation.model)) == 2
    conversation.say("three", temperature=0.5)
    sent = conversation.request
    assert {**plan["request"]} == sent


def test_a_dry_run_makes_no_session_and_shows_none_of_others(site):
    conversation = site.conversation()
    conversation.say("one")
    error_of(preview(site, fresh("nobody"), [said("x")]), 404, "session_not_found")
    error_of(preview(site, conversation.session, [said("x")], user="bob"), 404, "session_not_found")
    assert site.call("POST", f"{SESSIONS}/x/preview", b"{}", user=None).status == 401


def test_branches_are_listed_and_restored(site):
    conversation = site.conversation()
    for text in ("one", "two"):
        conversation.say(text)
    conversation.say([said("one"), answered("re: one"), said("other")])
    listed = site.call("GET", f"{SESSIONS}/{conversation.session}/branches")
    assert listed.status == 200, listed.raw
    (branch,) = listed.json()["data"]
    assert branch["message_count"] == 2 and branch["fork_message_id"] is not None
    shown = site.call("GET", f"{SESSIONS}/{conversation.session}/branches/{branch['id']}").json()["data"]
    assert [message["content"] for message in shown] == ["two", "re: two"]
    page = site.call("GET", f"{SESSIONS}/{conversation.session}/branches/{branch['id']}?limit=1&offset=1").json()["data"]
    assert page == shown[1:]
    behind = site.call("GET", f"{SESSIONS}/{conversation.session}/branches/{branch['id']}?offset=2")
    assert behind.status == 200 and behind.json()["data"] == []
    error_of(site.call("GET", f"{SESSIONS}/{conversation.session}/branches/99"), 404, "branch_not_found")
    restored = site.call("POST", f"{SESSIONS}/{conversation.session}/branches/{branch['id']}/restore")
    assert restored.status == 200, restored.raw
    assert conversation.stored_texts == ["one", "re: one", "two", "re: two"]
    conversation.say("three")
    assert conversation.texts == ["one", "re: one", "two", "re: two", "three"]
    assert site.call("GET", f"{SESSIONS}/{conversation.session}/branches").json()["total"] == 2
    assert site.call("GET", f"{SESSIONS}/{conversation.session}/branches", user="bob").status == 404
    missing = site.call("POST", f"{SESSIONS}/{conversation.session}/branches/99/restore")
    error_of(missing, 404, "branch_not_found")


def test_a_shadow_reports_and_changes_nothing(open_site):
    site = open_site(plugins={"history": {"mode": "shadow"}})
    conversation = site.conversation()
    conversation.say("one")
    response = conversation.say("two")
    assert conversation.texts == ["two"]
    report = response.header("x-turnpike-history")
    assert report.startswith("mode=shadow; injected=2; dropped=0; tokens=")
    assert site.activity(response)["history"] == report


def test_a_retry_is_known_after_a_restart_by_its_idempotency_key(open_site):
    site = open_site()
    conversation = site.conversation()
    conversation.say("yes", [("Idempotency-Key", "k1")])
    site.gateway.stop()
    site.start()
    conversation.say("yes", [("Idempotency-Key", "k1")])
    assert conversation.stored_texts == ["yes", "re: yes"]
    conversation.say("yes", [("Idempotency-Key", "k2")])
    assert len(conversation.stored) == 4


def test_a_prompt_cache_key_is_the_sessions_own_and_tells_nothing(open_site):
    site = open_site(provider={"prompt_cache_key": True})
    conversation, other = site.conversation(), site.conversation()
    keys = []
    for talk in (conversation, conversation, other):
        talk.say("hi")
        keys.append(talk.request["prompt_cache_key"])
    assert keys[0] == keys[1] != keys[2] and re.fullmatch("[0-9a-f]{32}", keys[0])
    conversation.say("hi", prompt_cache_key="mine")
    assert conversation.request["prompt_cache_key"] == "mine"


def test_a_fallback_gets_the_same_history_cut_for_itself_and_without_the_key(open_site):
    with ScriptedUpstream(free_port()) as second:
        second.on(CHAT, json_answer(chat.completion("from the second")))
        site = open_site(
            provider={"prompt_cache_key": True}, providers={"second": {"base_url": second.url, "reasoning": "drop"}},
            models={"m": {"targets": [{"provider": "scripted", "weight": 1}, {"provider": "second", "weight": 0, "model": "m2"}]}})
        conversation = site.conversation(model="m")
        answer = chat.completion("hello")
        answer["choices"][0]["message"]["reasoning_content"] = "hm"
        conversation.answer(json_answer(answer), error_answer(503))
        conversation.say("one")
        conversation.say("two")
        sent = second.requests[-1].json()
        assert sent["model"] == "m2" and "prompt_cache_key" not in sent
        assert sent["messages"] == [said("one"), {**answered("hello"), "refusal": None}, said("two")]
        assert conversation.request["messages"][1]["reasoning_content"] == "hm" and conversation.request["prompt_cache_key"]


@pytest.mark.parametrize("in_session", [True, False])
@pytest.mark.parametrize("first_asks", [True, False])
def test_only_targets_that_want_it_are_asked_for_usage_and_nothing_of_it_is_seen(open_site, first_asks, in_session):
    """`usage_in_stream: ask` of the target that answers counts, not the first one's."""
    usage = lambda asks: {"usage_in_stream": "ask" if asks else "as_is"}
    with ScriptedUpstream(free_port()) as second:
        second.on(CHAT, chat.chat_answer)
        site = open_site(
            provider=usage(first_asks), providers={"second": {"base_url": second.url, **usage(not first_asks)}},
            models={"m": {"targets": [{"provider": "scripted", "weight": 1}, {"provider": "second", "weight": 0}]}})
        site.script("m", error_answer(503))
        headers = [("X-Session-ID", fresh("session"))] if in_session else []
        response = site.chat("hi", "m", headers, stream=True)
        assert response.status == 200 and b'"usage"' not in response.body and b"[DONE]" in response.body
        asked = {"include_usage": True}
        assert site.sent("m")[0].json().get("stream_options") == (asked if first_asks else None)
        assert second.requests[-1].json().get("stream_options") == (None if first_asks else asked)
        assert (site.activity(response)["usage"] is None) == first_asks


def test_serialized_requests_see_one_another(open_site):
    site = open_site(plugins={"session": {"concurrency": "serialize"}})
    conversation = site.conversation()
    threads = [threading.Thread(target=conversation.say, args=(f"{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(request.json()["messages"]) for request in site.sent(conversation.model)) == list(range(1, 17, 2))


@pytest.mark.parametrize("limit", [2**63 - 1, 2**31])
def test_an_answer_longer_than_any_model_gives_may_be_asked_for(site, limit):
    conversation = site.conversation()
    conversation.say("first")
    conversation.say("word " * 20_000, max_tokens=limit)
    assert conversation.say("last").status == 200
