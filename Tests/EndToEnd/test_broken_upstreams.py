"""An upstream that breaks off after any byte of its answer: nothing that the client gets looks complete."""
import json

import pytest

from harness import chat
from harness.answers import Answer, Ending, body_answer, chunked_answer, head, in_pieces, json_answer, sse_answer
from harness.events import events_of, is_done
from harness.site import error_of, fresh
from harness.waiting import eventually, together

# Short, because every byte of them is a test of its own.
EVENTS = [
    b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\n\n',
    b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    b"data: [DONE]\n\n",
]
STREAMS = {
    "one event a chunk": sse_answer(EVENTS),
    "one chunk": sse_answer(EVENTS, "joined"),
    "a length": body_answer(b"".join(EVENTS), content_type="text/event-stream"),
}
COMPLETION = json.dumps({"id": "c", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]})
DOCUMENTS = {
    "a length": body_answer(COMPLETION.encode()),
    "chunks": chunked_answer(in_pieces(COMPLETION.encode(), 40), "application/json"),
}


@pytest.fixture(scope="module")
def site(open_site):
    return open_site()


def cut_everywhere(site, answer, ask):
    """`ask(site, count)` with the answer cut behind its first `count` bytes, for each of them: [(count, response)]."""
    counts = range(len(answer.data))
    for count in counts:
        site.script(f"{ask.prefix}-{count}", answer.cut_at(count, ask.ending))
    return list(zip(counts, together(lambda count: ask(site, count), counts)))


class Ask:
    """How a cut answer is asked for: streamed or not, in a session or not."""

    def __init__(self, stream, ending, in_session=False):
        self.prefix, self.stream, self.ending, self.in_session = fresh("cut"), stream, ending, in_session

    def __call__(self, site, count):
        headers = [("X-Session-ID", f"{self.prefix}-{count}")] if self.in_session else []
        return site.chat("x", f"{self.prefix}-{count}", headers, stream=self.stream)


def head_length(answer):
    return len(answer.pieces[0])


def check_stream(answer, count, response):
    """A stream that broke off: 502 before its head was there, else an error event at its end, and no clean end."""
    if count < head_length(answer) or response.status == 502:
        return error_of(response, 502)
    events = events_of(response.body)
    delivered = answer.data[:count]
    if b"data: [DONE]" in delivered:
        # Everything that the model had to say has arrived.
        return None
    assert not is_done(response.body) and not response.complete, (count, response.raw)
    if answer is STREAMS["a length"]:
        # The upstream's promise of a length stands: the answer stays visibly short.
        return None
    assert events and events[-1].name == "error", (count, response.raw)
    error = events[-1].json()["error"]
    assert error["request_id"] == response.header("x-turnpike-request-id") and error["code"].startswith("upstream_")
    assert sum(event.name == "error" for event in events) == 1
    return None


def check_document(answer, count, response):
    """A document that broke off: 502, or visibly incomplete."""
    if count < head_length(answer):
        return error_of(response, 502)
    if b"\r\n0\r\n" not in answer.data[:count]:
        assert response.status == 502 or not response.complete, (count, response.raw)
    return None


@pytest.mark.parametrize("in_session", [False, True], ids=["stateless", "in a session"])
@pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.RESET])
@pytest.mark.parametrize("kind", STREAMS)
def test_a_stream_cut_at_any_byte_ends_with_an_error_event_and_no_done(site, kind, ending, in_session):
    for count, response in cut_everywhere(site, STREAMS[kind], Ask(True, ending, in_session)):
        check_stream(STREAMS[kind], count, response)


@pytest.mark.parametrize("in_session", [False, True], ids=["stateless", "in a session"])
@pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.RESET])
@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_document_cut_at_any_byte_never_looks_complete(site, kind, ending, in_session):
    for count, response in cut_everywhere(site, DOCUMENTS[kind], Ask(False, ending, in_session)):
        check_document(DOCUMENTS[kind], count, response)


def test_after_a_cut_the_session_goes_on_with_what_the_user_saw(site):
    answer = STREAMS["one event a chunk"]
    for count in (0, 40, head_length(answer) + 10, sum(map(len, answer.pieces[:2])), len(answer.data) - 30):
        conversation = site.conversation().answer(answer.cut_at(count), json_answer(chat.completion("later")))
        conversation.try_to_say("first", stream=True)
        conversation.say("second")
        saw_text = count >= sum(map(len, answer.pieces[:2]))
        assert conversation.texts == (["first", "Hi", "second"] if saw_text else ["second"]), count


def test_a_cut_turn_is_recorded_as_an_upstream_error(site):
    answer = STREAMS["one event a chunk"]
    conversation = site.conversation().answer(answer.cut_at(sum(map(len, answer.pieces[:2]))))
    row = site.activity(conversation.try_to_say("x", stream=True))
    assert row["capture_status"] == "upstream_error" and row["ending"] == "failed"
    assert row["error_code"].startswith("upstream_")


@pytest.mark.parametrize("raw", [b"SSH-2.0-OpenSSH\r\n", b"\0\0\0\0", b"HTTP/1.1 200\r\nbroken header\r\n\r\n", b"HTTP/9.9 abc\r\n\r\n"])
def test_an_upstream_that_does_not_speak_http_is_502(site, raw):
    model = site.script(fresh("model"), Answer((raw,), Ending.CLOSE))
    response = site.chat("x", model)
    assert response.status == 502 or not response.complete, response.raw


@pytest.mark.parametrize("lengths", [("5", "6"), ("-1",), ("abc",)])
def test_an_answer_whose_length_contradicts_itself_is_502(site, lengths):
    fields = [("Content-Type", "application/json"), *(("Content-Length", length) for length in lengths)]
    model = site.script(fresh("model"), Answer((head(200, fields), b"{}"), Ending.CLOSE))
    error_of(site.chat("x", model), 502)


def test_a_connection_that_the_upstream_closed_while_it_was_idle_is_not_an_error(site):
    model = site.script(fresh("model"), json_answer({"ok": 1}).then(Ending.CLOSE))
    assert [site.chat("x", model).status for _ in range(20)] == [200] * 20


def test_the_gateway_serves_on_after_all_of_it(site):
    assert eventually(lambda: site.chat("x").status == 200)
    assert site.call("GET", "/readyz", user=None).status == 200
