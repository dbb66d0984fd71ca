"""`[DONE]` ends a streamed answer, whatever the upstream does with its connection behind it."""
import time

import pytest

from harness import chat
from harness.answers import Ending, chunked_answer, sse_answer
from harness.events import text_of
from harness.site import fresh

EVENTS = chat.text_events(["one ", "two"])


@pytest.fixture(scope="module")
def site(open_site):
    return open_site()


@pytest.mark.parametrize("in_session", [False, True], ids=["stateless", "in a session"])
def test_an_upstream_that_stays_open_behind_done_delays_nobody(site, in_session):
    # All of the events, and never the end of the body.
    answer = sse_answer(EVENTS)
    model = site.script(fresh("model"), answer.cut_at(len(answer.data) - len(answer.pieces[-1]), Ending.STALL))
    conversation = site.conversation(model=model)
    began = time.monotonic()
    if in_session:
        response = conversation.say("x", stream=True)
    else:
        response = site.chat("x", model, stream=True)
    assert time.monotonic() - began < 5, "the upstream would stay for as long as it is let"
    assert response.complete and response.body == b"".join(EVENTS)
    row = site.activity(response)
    assert row["ending"] == "completed"
    if in_session:
        assert row["capture_status"] == "complete"
        assert conversation.stored_texts == ["x", text_of(response.body)]
    # The upstream is let go soon after.
    assert site.sent(model)[0].client_left.wait(10)


def test_the_upstreams_connection_is_used_again_behind_done(site):
    connections = set()
    for number in range(8):
        conversation = site.conversation().answer(sse_answer(EVENTS))
        conversation.say("x", stream=True)
        connections.add(site.sent(conversation.model)[0].connection)
    assert len(connections) <= 4, "one for each event loop at most"


def test_what_follows_done_in_the_same_read_still_passes(site):
    extra = b": bye\n\n"
    model = site.script(fresh("model"), chunked_answer([b"".join(EVENTS) + extra]))
    assert site.chat("x", model, stream=True).body == b"".join(EVENTS) + extra
    conversation = site.conversation(model=model)
    assert conversation.say("x", stream=True).body == b"".join(EVENTS) + extra
