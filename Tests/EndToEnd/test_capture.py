"""What the client received is what is stored, before the client can know that it has received all of it."""
import gzip
import json

import pytest

from harness import chat
from harness.answers import body_answer, chunked_answer, error_answer, gzip_answer, in_pieces, json_answer, sse_answer, sse_event
from harness.events import chunks_of, is_done, text_of
from harness.site import fresh
from harness.waiting import eventually, together

DATABASES = "both"

FINISH = b'"finish_reason":"stop"'


@pytest.fixture(scope="module")
def site(open_site):
    return open_site()


@pytest.fixture(scope="module")
def asking(open_site):
    return open_site(provider={"usage_in_stream": "ask"})


def row_of(site, model):
    """The activity row of the only exchange with `model`."""
    rows = lambda: site.call("GET", "/v1/activity?limit=200").json()["data"]
    return eventually(lambda: next((row for row in rows() if row["requested_model"] == model), None))


def stored_answer(conversation):
    """The message that was stored as the answer."""
    return conversation.stored[-1]


# Streams


@pytest.mark.parametrize("split", ["events", "joined", "bytes"])
def test_a_streamed_text_passes_as_it_came_and_is_stored_as_it_was_said(site, split):
    events = chat.text_events(["Hel", "lo", " 世界", "😀", "."], usage=True)
    conversation = site.conversation().answer(sse_answer(events, split))
    response = conversation.say("x", stream=True, stream_options={"include_usage": True})
    assert response.body == b"".join(events)
    assert stored_answer(conversation)["content"] == "Hello 世界😀." and stored_answer(conversation)["role"] == "assistant"


@pytest.mark.parametrize("split", ["events", "joined", "bytes"])
def test_streamed_tool_calls_are_put_together_by_index(site, split):
    def call(index, **fields):
        return chat.delta({"tool_calls": [{"index": index, **fields}]})

    chunks = [
        chat.delta({"role": "assistant", "content": None}),
        call(0, id="call_a", type="function", function={"name": "one", "arguments": ""}),
        call(1, id="call_b", type="function", function={"name": "two", "arguments": '{"'}),
        call(0, function={"arguments": '{"x":'}), call(1, function={"arguments": 'y":2}'}), call(0, function={"arguments": " 1}"}),
    ]
    conversation = site.conversation().answer(sse_answer(chat.finished(chunks, "tool_calls", False), split))
    conversation.say("x", stream=True)
    calls = stored_answer(conversation)["tool_calls"]
    assert [(made["id"], made["function"]["name"], made["function"]["arguments"]) for made in calls] == [
        ("call_a", "one", '{"x": 1}'), ("call_b", "two", '{"y":2}')]
    assert stored_answer(conversation)["content"] is None


def test_content_null_is_never_stored_as_a_text(site):
    chunks = [chat.delta({"role": "assistant", "content": None}), chat.delta({"content": None}), chat.delta({"content": "ok"}), chat.delta({"content": None})]
    conversation = site.conversation().answer(sse_answer(chat.finished(chunks, "stop", False)))
    conversation.say("x", stream=True)
    assert stored_answer(conversation)["content"] == "ok"


def test_a_streamed_refusal_is_stored(site):
    chunks = [chat.delta({"role": "assistant", "content": None, "refusal": ""}), chat.delta({"refusal": "I can"}), chat.delta({"refusal": "not."})]
    conversation = site.conversation().answer(sse_answer(chat.finished(chunks, "stop", False)))
    conversation.say("x", stream=True)
    assert stored_answer(conversation)["refusal"] == "I cannot."


def test_of_several_choices_the_first_one_enters_the_history(site):
    def chunk(index, change, finish=None):
        return {**chat.IDENTITY, "object": "chat.completion.chunk", "choices": [{"index": index, "delta": change, "finish_reason": finish}]}

    chunks = [chunk(1, {"role": "assistant", "content": "B"}), chunk(0, {"role": "assistant", "content": "A"}), chunk(1, {"content": "2"}, None),
              chunk(1, {}, "stop"), chunk(0, {"content": "1"}), chunk(0, {}, "stop")]
    events = [sse_event(value) for value in (*chunks, "[DONE]")]
    conversation = site.conversation().answer(sse_answer(events))
    assert conversation.say("x", stream=True, n=2).body == b"".join(events)
    assert stored_answer(conversation)["content"] == "A1"


@pytest.mark.parametrize("n", [2, 3])
def test_of_several_choices_in_one_document_the_first_one_enters_the_history(site, n):
    answer = chat.completion("choice 0")
    answer["choices"] += [{**answer["choices"][0], "index": index, "message": {"role": "assistant", "content": f"choice {index}"}} for index in range(1, n)]
    answer["choices"].reverse()
    conversation = site.conversation().answer(json_answer(answer))
    conversation.say("x", n=n)
    assert stored_answer(conversation)["content"] == "choice 0"


def test_a_usage_chunk_without_choices_passes_and_is_counted(site):
    conversation = site.conversation().answer(sse_answer(chat.text_events(usage=True)))
    response = conversation.say("x", stream=True, stream_options={"include_usage": True})
    assert chunks_of(response.body)[-1]["choices"] == [] and is_done(response.body)
    assert site.activity(response)["usage"]["total_tokens"] == 12


ODD = {
    "CRLF": lambda stream: stream.replace(b"\n", b"\r\n"), "CR": lambda stream: stream.replace(b"\n", b"\r"),
    "comments": lambda stream: b": hi\n\n" + stream.replace(b"data: ", b": c\ndata: "), "no space": lambda stream: stream.replace(b"data: ", b"data:"),
    "a byte order mark": lambda stream: b"\xef\xbb\xbf" + stream, "names and ids": lambda stream: stream.replace(b"data: ", b"event: message\nid: 1\ndata: "),
    "no [DONE]": lambda stream: stream.replace(b"data: [DONE]\n\n", b""), "no empty line at the end": lambda stream: stream[:-1],
    "data in several lines": lambda stream: stream.replace(b',"choices"', b",\ndata: \"choices\""),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("size", [1, 5, 10_000])
def test_an_odd_stream_passes_as_it_came_and_is_understood(site, kind, size):
    stream = ODD[kind](b"".join(chat.text_events(["Hi ", "世"])))
    conversation = site.conversation().answer(chunked_answer(in_pieces(stream, size)))
    response = conversation.say("x", stream=True)
    assert response.body == stream
    assert stored_answer(conversation)["content"] == "Hi 世"


def test_fields_that_nobody_knows_survive_in_a_streamed_message(site):
    chunks = [chat.delta({"role": "assistant", "content": "", "reasoning_content": "Let me "}), chat.delta({"reasoning_content": "think."}), chat.delta({"content": "42"})]
    conversation = site.conversation().answer(sse_answer(chat.finished(chunks, "stop", False)))
    conversation.say("x", stream=True)
    assert stored_answer(conversation)["reasoning_content"] == "Let me think." and stored_answer(conversation)["content"] == "42"


def test_a_document_is_stored_as_it_came(site):
    message = '{ "content":"A\\u00e9\\/" , "role":"assistant","audio":{"id":"audio_1"},"x": 1.50, "annotations" :[] }'
    body = f'{{"id":"c","object":"chat.completion","choices":[{{"index":0,"message":{message},"finish_reason":"stop"}}],"usage":null}}'
    for answer in (body_answer(body.encode()), chunked_answer(in_pieces(body.encode(), 3), "application/json; charset=utf-8")):
        conversation = site.conversation().answer(answer)
        assert conversation.say("x").body == body.encode()
        conversation.answer(json_answer(chat.completion())).say("next")
        assert message.encode() in site.sent(conversation.model)[-1].body


# Committed before the end is seen


def test_who_has_seen_the_finish_reason_finds_the_turn_in_the_next_request(site):
    def one(number):
        model = fresh("model")
        conversation = site.conversation(model=model)
        with site.open_chat(f"{number}", model, [("X-Session-ID", conversation.session)], stream=True) as connection:
            connection.read_until(FINISH)
            conversation.say("next")
            return conversation.texts == [f"{number}", f"re: {number}", "next"]

    site.key()
    assert together(one, range(60), workers=12) == [True] * 60


def test_who_has_seen_the_end_of_a_document_finds_the_turn_in_the_next_request(site):
    def one(number):
        conversation = site.conversation()
        conversation.say(f"{number}")
        conversation.say("next")
        return conversation.texts == [f"{number}", f"re: {number}", "next"]

    assert together(one, range(60), workers=12) == [True] * 60


def test_the_finish_reason_waits_for_the_end_of_the_stream_and_the_text_does_not(site):
    answer = sse_answer(chat.text_events(["Hel", "lo"]))
    stalled = answer.stalled_at(sum(map(len, answer.pieces[:5])))
    assert FINISH in stalled.data
    model = site.script(fresh("model"), stalled)
    with site.open_chat("x", model, [("X-Session-ID", fresh("session"))], timeout=0.5, stream=True) as connection:
        connection.read_until(b'"content":"lo"')
        with pytest.raises(AssertionError, match="nothing more within"):
            connection.read_until(FINISH)
        connection.reset()


# Endings


def test_an_answer_cut_by_its_length_is_incomplete(site):
    for answer, stream in ((json_answer(chat.completion("half", finish_reason="length")), False),
                           (sse_answer(chat.finished([chat.delta({"content": "half"})], "length", False)), True)):
        conversation = site.conversation().answer(answer)
        row = site.activity(conversation.say("x", stream=stream))
        assert row["capture_status"] == "incomplete" and stored_answer(conversation)["content"] == "half"


def test_a_filtered_answer_is_incomplete(site):
    conversation = site.conversation().answer(json_answer(chat.completion("h", finish_reason="content_filter")))
    assert site.activity(conversation.say("x"))["capture_status"] == "incomplete"


@pytest.mark.parametrize("leave", ["reset", "close"])
def test_a_client_that_leaves_ends_the_upstreams_work_and_keeps_what_it_saw(site, leave):
    answer = sse_answer(chat.text_events(["Hel", "lo", "never seen"]))
    conversation = site.conversation()
    conversation.answer(answer.stalled_at(sum(map(len, answer.pieces[:4]))), json_answer(chat.completion()))
    with site.open_chat("x", conversation.model, [("X-Session-ID", conversation.session)], stream=True) as connection:
        connection.read_until(b'"lo"')
        if leave == "reset":
            connection.reset()
    (request,) = site.sent(conversation.model)
    assert request.client_left.wait(5), "the upstream goes on for nobody"
    assert row_of(site, conversation.model)["capture_status"] == "cancelled"
    assert row_of(site, conversation.model)["ending"] == "abandoned"
    assert conversation.stored_texts == ["x", "Hello"]
    conversation.say("next")
    assert conversation.texts == ["x", "Hello", "next"]


def test_a_client_that_leaves_before_the_first_word_leaves_no_turn(site):
    answer = sse_answer(chat.text_events())
    conversation = site.conversation().answer(answer.stalled_at(len(answer.pieces[0]) + 4))
    with site.open_chat("x", conversation.model, [("X-Session-ID", conversation.session)], stream=True) as connection:
        connection.read_until(b"\r\n\r\n")
        connection.reset()
    assert site.sent(conversation.model)[0].client_left.wait(5)
    assert row_of(site, conversation.model)["ending"] == "abandoned"
    assert conversation.stored == []


def test_a_client_that_leaves_while_it_waits_ends_the_upstreams_work(site):
    for stream in (False, True):
        model = site.script(fresh("model"), body_answer(b"{}").stalled_at(0))
        with site.open_chat("x", model, stream=stream) as connection:
            eventually(lambda: site.sent(model))
            connection.reset()
        assert site.sent(model)[0].client_left.wait(5)


def test_an_incomplete_tool_call_is_not_replayed(site):
    answer = sse_answer(chat.tool_call_events())
    conversation = site.conversation()
    conversation.answer(answer.cut_at(sum(map(len, answer.pieces[:3]))), json_answer(chat.completion()))
    conversation.try_to_say("x", stream=True)
    conversation.say("next")
    assert all(not message.get("tool_calls") for message in conversation.seen)


def test_an_upstream_error_in_mid_stream_is_passed_on_and_recorded(site):
    error = sse_event({"error": {"message": "overloaded", "type": "server_error", "param": None, "code": None}})
    events = [*chat.text_events(["Half"])[:2], error]
    conversation = site.conversation().answer(sse_answer(events))
    response = conversation.try_to_say("x", stream=True)
    assert error.strip() in response.body and not is_done(response.body)
    assert site.activity(response)["capture_status"] == "upstream_error"


@pytest.mark.parametrize("status", [400, 429, 500])
def test_an_upstreams_error_answer_stores_nothing(site, status):
    conversation = site.conversation().answer(error_answer(status))
    assert conversation.try_to_say("x").status == status
    assert conversation.stored == []


@pytest.mark.parametrize("body", [b"", b"not JSON", b'{"object":"list"}', b'{"choices":[]}', b'{"choices":[{"index":0,"message":{"role":"assistant","content":null},"finish_reason":"stop"}]}'])
def test_a_document_without_output_passes_and_stores_nothing(site, body):
    conversation = site.conversation().answer(body_answer(body))
    assert conversation.try_to_say("x").body == body
    assert conversation.stored == []


def test_a_stream_without_output_stores_nothing(site):
    conversation = site.conversation().answer(sse_answer(chat.finished([chat.delta({"role": "assistant"})], "stop", False)))
    conversation.say("x", stream=True)
    assert conversation.stored == []


def test_a_stream_that_ends_without_a_finish_reason_is_not_recorded_as_complete(site):
    events = chat.text_events(["Half"])[:2]
    conversation = site.conversation().answer(sse_answer(events))
    row = site.activity(conversation.try_to_say("x", stream=True))
    assert row["capture_status"] == "upstream_error"


# Encodings and usage


def test_an_upstream_is_asked_for_bytes_that_can_be_read_where_they_must_be(site):
    conversation = site.conversation()
    conversation.say("x", [("Accept-Encoding", "gzip, deflate, br")])
    assert site.sent(conversation.model)[0].header("Accept-Encoding") == "identity"


@pytest.mark.parametrize("stream", [False, True])
def test_an_upstream_that_compresses_all_the_same_is_never_captured_as_garbage(site, stream):
    plain = b"".join(chat.text_events()) if stream else json.dumps(chat.completion()).encode()
    kind = "text/event-stream" if stream else "application/json"
    conversation = site.conversation().answer(gzip_answer(plain, kind))
    response = conversation.try_to_say("x", [("Accept-Encoding", "gzip")], stream=stream)
    body = gzip.decompress(response.body) if response.header("Content-Encoding") == "gzip" else response.body
    assert response.status == 502 or body == plain
    assert all(isinstance(message.get("content"), str) and message["content"].isprintable() for message in conversation.stored)


def with_usage(events):
    """The same stream as a provider sends it that was asked for usage."""
    asked = [event.replace(b'}]}\n\n', b'}],"usage":null}\n\n') for event in events[:-1]]
    return [*asked, sse_event({**chat.delta({}), "choices": [], "usage": chat.USAGE}), events[-1]]


@pytest.mark.parametrize("split", ["events", "joined", "bytes"])
@pytest.mark.parametrize("in_session", [True, False], ids=["in a session", "stateless"])
def test_usage_that_the_client_did_not_ask_for_is_hidden_exactly(asking, split, in_session):
    events = chat.text_events(["Hel", "lo"])
    model = asking.script(fresh("model"), sse_answer(with_usage(events), split))
    response = asking.chat("x", model, [("X-Session-ID", fresh("session"))] if in_session else [], stream=True)
    assert asking.sent(model)[0].json()["stream_options"] == {"include_usage": True}
    assert response.body == b"".join(events) and response.complete
    assert asking.activity(response)["usage"]["total_tokens"] == 12


def test_usage_that_the_client_asked_for_is_not_hidden(asking):
    events = with_usage(chat.text_events(["Hel", "lo"]))
    model = asking.script(fresh("model"), sse_answer(events))
    response = asking.chat("x", model, [("X-Session-ID", fresh("session"))], stream=True, stream_options={"include_usage": True, "x": 1})
    assert response.body == b"".join(events)
    assert asking.sent(model)[0].json()["stream_options"] == {"include_usage": True, "x": 1}


def test_the_clients_other_stream_options_stay(asking):
    model = fresh("model")
    asking.chat("x", model, [("X-Session-ID", fresh("session"))], stream=True, stream_options={"include_obfuscation": False})
    assert asking.sent(model)[0].json()["stream_options"] == {"include_obfuscation": False, "include_usage": True}


def test_usage_is_not_asked_for_where_nothing_streams_or_the_provider_is_not_marked(site, asking):
    for place, stream in ((asking, False), (site, True)):
        model = fresh("model")
        place.chat("x", model, [("X-Session-ID", fresh("session"))], stream=stream)
        assert "stream_options" not in place.sent(model)[0].json()


# Size


def test_an_answer_of_4_mb_is_stored_whole(site):
    text = "0123456789abcdef" * (1 << 18)
    conversation = site.conversation().answer(json_answer(chat.completion(text)))
    conversation.say("x", timeout=30)
    assert stored_answer(conversation)["content"] == text


def test_a_stream_of_20_000_chunks_is_stored_whole(site):
    events = chat.text_events([f"{number} " for number in range(20_000)])
    conversation = site.conversation().answer(sse_answer(events, "joined"))
    response = conversation.say("x", stream=True, timeout=30)
    assert text_of(response.body) == stored_answer(conversation)["content"] and response.body == b"".join(events)


def test_a_long_conversation_by_many_clients_keeps_every_answer(site):
    conversations = [site.conversation() for _ in range(8)]

    def hold(conversation):
        for number in range(8):
            conversation.say(f"{number}", stream=number % 2 == 1)
        return conversation.stored_texts == [text for number in range(8) for text in (f"{number}", f"re: {number}")]

    assert together(hold, conversations, workers=8) == [True] * 8
