"""What the model sees: instructions, then history, then what is new; never doubled, cut in two, or reordered."""
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from harness import chat
from harness.answers import json_answer, sse_answer
from harness.site import SESSIONS, answered, fresh, said
from harness.waiting import eventually

DATABASES = "both"

SYSTEM = {"role": "system", "content": "Be brief."}
DEVELOPER = {"role": "developer", "name": "ops", "content": [{"type": "text", "text": "Be kind."}]}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]


@pytest.fixture(scope="module")
def site(open_site):
    everything = {"enabled": True}
    return open_site(flags={
        "history": {**everything, "deny": {"users": ["forgetful"]}},
        "capture": {**everything, "deny": {"users": ["unrecorded"], "models": ["secret-*"]}},
        "session": {**everything, "deny": {"users": ["stateless"]}},
    })


@pytest.fixture
def talk(site):
    """A session in which two turns lie."""
    conversation = site.conversation()
    conversation.say("one")
    conversation.say("two")
    return conversation


H = ["one", "re: one", "two", "re: two"]
STORED = [said("one"), answered("re: one"), said("two"), answered("re: two")]


def noted(response):
    """The fields of the x-turnpike-history header."""
    return dict(re.findall(r"(\w+)=(\w+)", response.header("x-turnpike-history")))


def numbers(conversation, count, width=2):
    """Says `count` things, with `width - 1` messages each."""
    for number in range(count):
        conversation.say([said(f"{number}.{part}") for part in range(width - 1)])


# Order


def test_history_goes_between_the_instructions_and_what_is_new(talk):
    talk.say([SYSTEM, DEVELOPER, said("three")])
    assert talk.texts == [SYSTEM["content"], DEVELOPER["content"], *H, "three"]
    assert talk.seen[:2] == [SYSTEM, DEVELOPER]


def test_the_latest_instructions_are_kept_for_requests_that_have_none(talk):
    talk.say([SYSTEM, said("three")])
    talk.say("four")
    assert talk.seen[0] == SYSTEM and [message["role"] for message in talk.seen].count("system") == 1
    talk.say([DEVELOPER, said("five")])
    talk.say("six")
    assert talk.seen[0] == DEVELOPER and SYSTEM not in talk.seen


def test_instructions_are_no_messages_of_the_conversation(talk):
    talk.say([SYSTEM, said("three")])
    assert talk.stored_texts == [*H, "three", "re: three"]


def test_the_answer_is_in_the_history_of_the_very_next_request_streamed_or_not(site):
    conversation = site.conversation()
    for number in range(20):
        conversation.say(f"{number}", stream=number % 2 == 0)
        if number:
            assert conversation.texts[-3:] == [f"{number - 1}", f"re: {number - 1}", f"{number}"]


def test_the_header_says_how_much_was_injected(talk):
    assert noted(talk.say("three"))["injected"] == "4"
    assert noted(talk.site.conversation().say("x"))["injected"] == "0"


def test_nothing_else_of_the_body_changes(site):
    conversation = site.conversation()
    conversation.say("one")
    body = (f'{{ "temperature" : 1.50 ,"model":"{conversation.model}", "seed":123456789012345678901234567890,'
            f' "messages" : [ {{"role":"user", "content":"\\u0041", "x":1.0}} ] , "z":{{ }} }}')
    site.call("POST", "/v1/chat/completions", body.encode(), [("X-Session-ID", conversation.session)])
    sent = site.sent(conversation.model)[1].body.decode()
    assert sent.startswith(body[: body.index("[")]) and sent.endswith(body[body.index("]") + 1 :])
    assert '{"role":"user", "content":"\\u0041", "x":1.0}' in sent


# Limits


def test_the_newest_20_messages_are_injected_by_default(site):
    conversation = site.conversation()
    numbers(conversation, 12)
    response = conversation.say("next")
    assert len(conversation.seen) == 21 and conversation.texts[0] == "2.0"
    assert (noted(response)["injected"], noted(response)["dropped"]) == ("20", "4")


@pytest.fixture(scope="module")
def narrow(open_site):
    return open_site(plugins={"history": {"max_history_messages": 5}})


def test_a_limit_is_rounded_down_to_whole_turns(narrow):
    conversation = narrow.conversation()
    numbers(conversation, 4)
    conversation.say("next")
    assert conversation.texts == ["2.0", "re: 2.0", "3.0", "re: 3.0", "next"]


def test_a_single_turn_that_is_longer_than_the_limit_stays_whole(narrow):
    conversation = narrow.conversation()
    numbers(conversation, 2, width=8)
    conversation.say("next")
    assert conversation.texts == [*(f"1.{part}" for part in range(7)), "re: 1.6", "next"]


def test_what_the_client_sends_itself_is_never_cut(narrow):
    conversation = narrow.conversation()
    sent = [said(str(number)) for number in range(30)]
    conversation.say(sent)
    assert conversation.seen == sent


def test_a_sessions_own_limit_goes_before_the_configured_one(narrow):
    session = narrow.send("POST", SESSIONS, {"max_history_messages": 2}).json()["id"]
    conversation = narrow.conversation(session)
    numbers(conversation, 3)
    conversation.say("next")
    assert conversation.texts == ["2.0", "re: 2.0", "next"]


def test_a_tool_round_is_never_cut_from_its_call(narrow):
    conversation = narrow.conversation()
    numbers(conversation, 2)
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    conversation.answer(json_answer(chat.completion(None, [call], "tool_calls")), json_answer(chat.completion("Sunny.")))
    conversation.say("weather?", tools=TOOLS)
    conversation.say([{"role": "tool", "tool_call_id": "call_1", "content": str(part)} for part in range(6)], tools=TOOLS)
    roles = [message["role"] for message in conversation.seen]
    assert roles[-7:] == ["assistant"] + ["tool"] * 6 and conversation.seen[-7]["tool_calls"] == [call]
    conversation.say("thanks")
    for index, message in enumerate(conversation.seen):
        if message["role"] == "tool":
            assert any(earlier.get("tool_calls") == [call] for earlier in conversation.seen[:index])


# Overlap


def test_a_client_that_sends_only_what_is_new_gets_the_history_in_front(talk):
    talk.say([said("three"), said("and four")])
    assert talk.texts == [*H, "three", "and four"]


def test_a_client_that_resends_everything_doubles_nothing(talk):
    response = talk.say([SYSTEM, *STORED, said("three")])
    assert talk.seen == [SYSTEM, *STORED, said("three")]
    assert talk.stored_texts == [*H, "three", "re: three"] and noted(response)["injected"] == "0"


def test_a_client_that_resends_everything_for_ten_turns_doubles_nothing(site):
    conversation, view = site.conversation(), []
    for number in range(10):
        view.append(said(f"{number}"))
        conversation.say(view)
        assert conversation.seen == view
        view.append(answered(f"re: {number}"))
    assert len(conversation.stored) == 20


def test_a_client_that_sends_a_window_gets_what_precedes_it(talk):
    talk.say([*STORED[2:], said("three")])
    assert talk.texts == [*H, "three"] and len(talk.stored) == 6


def test_the_longest_window_counts_when_a_conversation_repeats_itself(site):
    conversation = site.conversation().answer(json_answer(chat.completion("ok")))
    for _ in range(3):
        conversation.say("yes")
    conversation.say([*[said("yes"), answered("ok")] * 2, said("yes")])
    assert conversation.texts == ["yes", "ok"] * 3 + ["yes"]
    assert len(conversation.stored) == 8


def test_a_repeated_yes_is_never_dropped(site):
    conversation = site.conversation()
    for _ in range(4):
        conversation.say("yes")
    assert conversation.texts == ["yes", "re: yes"] * 3 + ["yes"] and len(conversation.stored) == 8


def test_a_regenerated_answer_takes_the_place_of_the_first_one(talk):
    talk.answer(json_answer(chat.completion("another")))
    response = talk.say(STORED[:3])
    assert talk.seen == STORED[:3]
    assert talk.stored_texts == ["one", "re: one", "two", "another"] and noted(response)["superseded"] == "2"
    talk.say("three")
    assert talk.texts == ["one", "re: one", "two", "another", "three"]


def test_an_edited_question_takes_the_place_of_what_followed(talk):
    talk.say("three")
    talk.say([*STORED[:2], said("two, but better")])
    assert talk.seen == [*STORED[:2], said("two, but better")]
    assert talk.stored_texts == ["one", "re: one", "two, but better", "re: two, but better"]


def test_an_edited_answer_is_the_clients_view_too(talk):
    view = [said("one"), answered("re: one"), said("two"), answered("what I wish it had said"), said("three")]
    talk.say(view)
    assert talk.seen == view and talk.stored_texts == [*(message["content"] for message in view), "re: three"]


def test_a_conversation_with_nothing_in_common_takes_the_place_of_the_stored_one(talk):
    view = [said("a"), answered("b"), said("c")]
    talk.say(view)
    talk.say("d")
    assert talk.texts == ["a", "b", "c", "re: c", "d"]


def test_an_imported_conversation_becomes_the_history_of_an_empty_session(site):
    conversation = site.conversation()
    conversation.say([SYSTEM, *STORED, said("three")])
    conversation.say("four")
    assert conversation.texts == [SYSTEM["content"], *H, "three", "re: three", "four"]


def test_messages_are_compared_by_what_they_say_not_by_how_it_is_written(talk):
    view = [
        {"content": [{"type": "text", "text": "one"}], "role": "user"}, {**answered("re: one"), "refusal": None, "annotations": []},
        {"role": "user", "content": "two", "vendor": 1}, {"role": "assistant", "content": [{"type": "text", "text": "re: two"}], "tool_calls": None},
        said("three"),
    ]
    talk.say(view)
    assert talk.seen == view and talk.stored_texts[:4] == H and len(talk.stored) == 6


def test_a_message_that_differs_in_white_space_or_case_is_another_one(talk):
    for other in ("One", "one "):
        talk.say([said(other), answered("re: one"), said("x")])
        assert talk.stored_texts[0] == other


# What is kept of a message


def test_a_tool_round_keeps_ids_arguments_and_unknown_fields(site):
    call = {"id": "call_Ä1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Z\\u00fcrich"}'}, "vendor": {"a": [1.0]}}
    answer = chat.completion(None, [call], "tool_calls")
    answer["choices"][0]["message"] |= {"annotations": [], "reasoning_content": "hm", "x_vendor": {"big": 12345678901234567890123}}
    conversation = site.conversation().answer(json_answer(answer), json_answer(chat.completion("Sunny.")))
    question = {"role": "user", "content": "weather?", "name": "ada", "x": None}
    conversation.say([question], tools=TOOLS)
    result = {"role": "tool", "tool_call_id": "call_Ä1", "content": [{"type": "text", "text": "12°"}], "y": 1}
    conversation.say([result], tools=TOOLS)
    assert conversation.seen == [question, answer["choices"][0]["message"], result]
    conversation.say("thanks")
    assert conversation.seen[:3] == [question, answer["choices"][0]["message"], result]
    assert b"12345678901234567890123" in site.sent(conversation.model)[-1].body


def test_a_streamed_tool_call_can_be_answered_in_the_next_request(site):
    conversation = site.conversation().answer(sse_answer(chat.tool_call_events()), json_answer(chat.completion("Sunny.")))
    conversation.say("weather?", stream=True, tools=TOOLS)
    conversation.say([{"role": "tool", "tool_call_id": "call_scripted", "content": "12"}], tools=TOOLS)
    call = conversation.seen[1]
    assert call["content"] is None and call["role"] == "assistant"
    (made,) = call["tool_calls"]
    assert made["id"] == "call_scripted" and made["type"] == "function" and json.loads(made["function"]["arguments"]) == {"city": "Paris"}


def calling(*names):
    return [{"id": name, "type": "function", "function": {"name": "weather", "arguments": "{}"}} for name in names]


FINE = json_answer(chat.completion("fine"))


def tool_calls(*names):
    return json_answer(chat.completion(None, calling(*names), "tool_calls"))


def result(name):
    return {"role": "tool", "tool_call_id": name, "content": f"of {name}"}


def outline(conversation):
    """What was sent, in short: texts, results, and the ids of calls."""
    return [[call["id"] for call in message["tool_calls"]] if message.get("tool_calls") else message["content"] for message in conversation.seen]


def test_a_result_that_comes_late_has_its_call_in_front_of_it(site):
    conversation = site.conversation().answer(tool_calls("A"), FINE)
    conversation.say("call")
    conversation.say("meanwhile")
    assert outline(conversation) == ["call", "meanwhile"]
    conversation.say([result("A")])
    late = ["call", "meanwhile", "fine", ["A"], "of A"]
    assert outline(conversation) == late
    conversation.say("thanks")
    assert outline(conversation)[:5] == late and outline(conversation)[-1] == "thanks"


def test_two_clients_in_tool_rounds_of_one_session_both_get_theirs_whole(site):
    conversation = site.conversation().answer(tool_calls("A"), tool_calls("B"), tool_calls("A2"), FINE)
    conversation.say("a")
    conversation.say("b")
    conversation.say([result("A")])
    assert outline(conversation) == ["a", "b", ["A"], "of A"]
    conversation.say([result("B")])
    both = ["a", "b", ["A"], "of A", ["B"], "of B"]
    assert outline(conversation) == both
    conversation.say([result("A2")])
    assert outline(conversation) == [*both, "fine", ["A2"], "of A2"]


def test_results_that_are_sent_one_by_one_are_both_shown(site):
    conversation = site.conversation().answer(tool_calls("c1", "c2"), FINE)
    conversation.say("call")
    conversation.say([result("c1")])
    assert outline(conversation) == ["call", ["c1"], "of c1"]
    conversation.say([result("c2")])
    assert outline(conversation)[:3] == ["call", ["c1"], "of c1"] and outline(conversation)[-2:] == [["c2"], "of c2"]


def test_a_late_result_brings_a_call_that_a_limit_left_out(narrow):
    conversation = narrow.conversation().answer(tool_calls("A"), FINE)
    conversation.say("call")
    numbers(conversation, 6)
    conversation.say([result("A")])
    assert outline(conversation)[-2:] == [["A"], "of A"] and "call" not in outline(conversation)
    assert "tool" not in [message["role"] for message in (numbers(conversation, 4), conversation.seen)[1]]


def test_a_late_result_in_a_window_of_the_clients_brings_its_call_too(narrow):
    conversation = narrow.conversation().answer(tool_calls("A"), FINE)
    conversation.say("call")
    numbers(conversation, 3)
    conversation.say([result("A")])
    numbers(conversation, 2)
    window = conversation.stored_texts[-7:]
    assert window[:2] == ["fine", "of A"]
    response = conversation.say([*conversation.stored[-7:], said("next")])
    assert outline(conversation) == ["fine", ["A"], *window[1:], "next"]
    assert noted(response) == {"injected": "1", "dropped": "6", "tokens": "0", "budget": noted(response)["budget"], "reason": "max_history_messages"}


def test_images_audio_and_files_come_back_as_they_went(site):
    parts = [
        {"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "QUJD" * 5000, "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}}, {"type": "file", "file": {"file_id": "f"}, "cache_control": {"type": "ephemeral"}},
    ]
    conversation = site.conversation()
    message = {"role": "user", "content": parts}
    conversation.answer(json_answer(chat.completion("a cat")))
    conversation.say([message])
    conversation.say("what colour?")
    assert conversation.seen[0] == message
    conversation.say([message, answered("a cat"), said("what colour?"), answered("a cat"), said("sure?")])
    assert len(conversation.seen) == 5 and len(conversation.stored) == 6


@pytest.fixture(scope="module")
def wide(open_site):
    """A site whose models, which nobody knows, are taken for large ones."""
    return open_site(plugins={"history": {"default_context_window": 1_000_000}})


def test_text_of_every_kind_comes_back_as_it_went(wide):
    texts = [" ", "null", "世界 😀 \u2028\u2029", "a\u0000b", "\\u0041 \\ \" /", "e\u0301", "x" * 300_000, "-- '; DROP", "\ufeffbom"]
    for text in texts:
        conversation = wide.conversation().answer(json_answer(chat.completion(text)))
        conversation.say(text)
        conversation.say("next")
        assert conversation.texts == [text, text, "next"]


def test_an_empty_question_is_a_question(site):
    conversation = site.conversation().answer(json_answer(chat.completion("Yes?")))
    conversation.say("")
    conversation.say("next")
    assert conversation.texts == ["", "Yes?", "next"]


# Modes


def test_append_takes_everything_as_new(talk):
    talk.say([*STORED, said("three")], history_mode="append")
    assert talk.texts == [*H, *H, "three"] and len(talk.stored) == 10


def test_replace_takes_the_request_as_the_whole_conversation(talk):
    talk.say("fresh start", history_mode="replace")
    assert talk.texts == ["fresh start"] and talk.stored_texts == ["fresh start", "re: fresh start"]


@pytest.mark.parametrize("place", ["body", "header"])
def test_off_neither_reads_nor_writes_the_session(talk, place):
    if place == "body":
        talk.say("Write a title.", history_mode="off")
    else:
        talk.say("Write a title.", [("X-History-Mode", "off")])
    assert talk.texts == ["Write a title."] and talk.stored_texts == H
    assert "history_mode" not in talk.request


# Retries


def test_a_retry_of_the_library_is_stored_once(site):
    conversation = site.conversation()
    conversation.say("one")
    conversation.say("two", [("x-stainless-retry-count", "0")])
    conversation.say("two", [("x-stainless-retry-count", "1")])
    assert conversation.texts == ["one", "re: one", "two"] and conversation.stored_texts == H
    conversation.say("two", [("X-Stainless-Retry-Count", "2")])
    assert conversation.stored_texts == H


def test_the_same_idempotency_key_is_stored_once_and_another_one_is_not(site):
    conversation = site.conversation()
    for key, count in (("k1", 2), ("k1", 2), ("k2", 4), ("k2", 4)):
        conversation.say("yes", [("Idempotency-Key", key)])
        assert len(conversation.stored) == count, key


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_attempts_under_one_idempotency_key_are_stored_once_whatever_comes_between(site, order):
    conversation = site.conversation()
    gates = [threading.Event(), threading.Event()]
    first, second = (replace(json_answer(chat.completion(text)), gate=gate) for text, gate in zip(("first", "second"), gates))
    conversation.answer(first, json_answer(chat.completion("so")), second)
    say = lambda text: conversation.say(text, [("Idempotency-Key", f"k-{text}")])
    with ThreadPoolExecutor(2) as pool:
        attempts = [pool.submit(say, "why?")]
        eventually(lambda: len(site.sent(conversation.model)) == 1)
        say("and?")
        attempts.append(pool.submit(say, "why?"))
        eventually(lambda: len(site.sent(conversation.model)) == 3)
        for index in order:
            gates[index].set()
            attempts[index].result()
    assert conversation.stored_texts == ["and?", "so", "why?", "second"]
    conversation.answer(json_answer(chat.completion("third")))
    say("why?")
    assert conversation.texts == ["and?", "so", "why?"] and conversation.stored_texts == ["and?", "so", "why?", "third"]


def test_a_retry_whose_first_attempt_left_nothing_is_stored_once(site):
    conversation = site.conversation()
    conversation.say("one", [("x-stainless-retry-count", "1")])
    conversation.say("two", [("x-stainless-retry-count", "2")])
    assert conversation.stored_texts == H


def test_a_retry_that_says_something_else_is_no_retry(site):
    conversation = site.conversation()
    conversation.say("one")
    conversation.say("two", [("x-stainless-retry-count", "1")])
    assert conversation.stored_texts == H


def test_a_retry_of_a_client_that_resends_everything_is_stored_once(talk):
    view = [*STORED, said("three")]
    talk.say(view)
    talk.say(view, [("x-stainless-retry-count", "1")])
    assert talk.seen == view and talk.stored_texts == [*H, "three", "re: three"]


# Flags


def test_with_history_off_nothing_is_injected_but_the_turn_is_captured(site):
    conversation = site.conversation(user="forgetful")
    conversation.say("one")
    conversation.say("two", stream=True)
    assert conversation.texts == ["two"] and conversation.stored_texts == H


def test_with_capture_off_nothing_is_stored(site):
    conversation = site.conversation(user="unrecorded")
    conversation.say("one")
    conversation.say("two", stream=True)
    assert conversation.texts == ["two"] and conversation.stored == []


def test_a_flag_can_look_at_the_model(site):
    conversation = site.conversation()
    conversation.say("one")
    site.chat("hidden", fresh("secret"), [("X-Session-ID", conversation.session)])
    assert conversation.stored_texts == ["one", "re: one"]


def test_with_sessions_off_nothing_is_remembered(site):
    model, headers = fresh("model"), [("X-Session-ID", fresh("session"))]
    for text in ("one", "two"):
        assert site.chat(text, model, headers, "stateless").header("x-session-id") is None
    assert site.sent(model)[1].json()["messages"] == [said("two")]


def test_with_every_feature_off_a_stream_in_a_session_passes_byte_for_byte(site):
    answer = sse_answer(chat.text_events(usage=True), "bytes")
    conversation = site.conversation(user="unrecorded").answer(answer)
    assert conversation.say("x", stream=True).body == b"".join(chat.text_events(usage=True))


def test_the_flags_in_effect_are_in_the_activity_row(site):
    row = lambda user: site.activity(site.conversation(user=user).say("x"), user)
    assert set(row("alice")["flags"]) == {"capture", "history", "session"}
    assert set(row("unrecorded")["flags"]) == {"history", "session"}
