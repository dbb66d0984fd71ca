"""A client that breaks off after any byte of its request or of its answer: nothing half is sent on, nothing seen is lost."""
import json

import pytest

from harness import chat
from harness.answers import body_answer, in_pieces, json_answer, sse_answer
from harness.client import Connection, request_bytes
from harness.site import CHAT, chat_body, fresh
from harness.waiting import eventually, together

WORDS = ["Hi", " you"]
# Short, because every byte of it is a test of its own.
STREAM = sse_answer(
    [b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % word.encode() for word in WORDS]
    + [b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n', b"data: [DONE]\n\n"]
)
DOCUMENT = body_answer(json.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}).encode())


@pytest.fixture(scope="module")
def site(open_site):
    return open_site()


def request_of(site, model, session, chunked):
    """The bytes of a chat request in a session."""
    body = json.dumps(chat_body("x", model, {})).encode()
    headers = [*site.headers(body=body), ("X-Session-ID", session)]
    if not chunked:
        return request_bytes("POST", CHAT, headers, body)
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in in_pieces(body, 20))
    return request_bytes("POST", CHAT, [*headers, ("Transfer-Encoding", "chunked")]) + chunks + b"0\r\n\r\n"


@pytest.mark.parametrize("leave", ["close", "reset"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_request_that_breaks_off_at_any_byte_is_not_sent_on(site, chunked, leave):
    model, session = fresh("model"), fresh("session")
    request = request_of(site, model, session, chunked)

    def break_off(count):
        with Connection(site.port) as connection:
            connection.send(request[:count])
            if leave == "reset":
                connection.reset()

    together(break_off, range(len(request)))
    assert site.call("GET", f"/v1/chat/sessions/{session}").status == 404
    with Connection(site.port) as connection:
        connection.send(request)
        assert connection.read_response().status == 200
    assert len(site.sent(model)) == 1
    assert [message["content"] for message in site.stored(session)] == ["x", "re: x"]


class Visit:
    """A client that leaves its answer when the upstream has sent the first `count` bytes of it."""

    def __init__(self, site, answer, count, stream):
        self.conversation = site.conversation().answer(answer.stalled_at(count), json_answer(chat.completion()))
        self.count, self.stream = count, stream
        self.sent = answer.data[:count]

    def leave(self, site):
        """Asks, waits for what there is to see, and resets the connection."""
        conversation = self.conversation
        with site.open_chat("x", conversation.model, [("X-Session-ID", conversation.session)], stream=self.stream) as connection:
            (request,) = eventually(lambda: site.sent(conversation.model))
            received = connection.read_until(self.last_word) if self.last_word else b""
            connection.reset()
        if b"[DONE]" not in self.sent:
            assert request.client_left.wait(5), f"the upstream goes on for nobody after {self.count} bytes"
        self.seen = "".join(word for word in WORDS if f'"{word}"'.encode() in received)
        return self

    @property
    def last_word(self):
        """The last of the words whose event has come whole."""
        events = self.sent.replace(b"\r\n", b"\n").split(b"\n\n\n")[:-1] if self.stream else []
        words = [word for word in WORDS if any(f'"{word}"'.encode() in event for event in events)]
        return f'"{words[-1]}"'.encode() if words else None

    def check(self):
        """What is stored is all that was seen, and nothing that was not sent; the next turn follows it."""
        texts = eventually(lambda: self.stored, lambda texts: len(texts) == (2 if self.seen else len(texts)))
        answer = texts[1] if texts else ""
        assert answer.startswith(self.seen) and "".join(WORDS).startswith(answer), (self.count, self.seen, texts)
        assert not texts or texts[0] == "x"
        self.conversation.say("next")
        assert self.conversation.texts == [*texts, "next"], self.count

    @property
    def stored(self):
        """The texts of the session, if there is one."""
        response = self.conversation.site.call("GET", f"/v1/chat/sessions/{self.conversation.session}/messages")
        return [] if response.status == 404 else self.conversation.stored_texts


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_after_any_byte_finds_what_it_saw(site, stream):
    answer = STREAM if stream else DOCUMENT
    visits = [Visit(site, answer, count, stream) for count in range(len(answer.data))]
    for visit in together(lambda visit: visit.leave(site), visits):
        visit.check()
    if stream:
        assert {visit.seen for visit in visits} == {"", "Hi", "Hi you"}
