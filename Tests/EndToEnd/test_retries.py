"""What a client's library sends again by itself takes the place of its own first attempt, and of nothing else."""
from contextlib import ExitStack

import pytest

from harness.client import Connection, exchange, request_bytes
from harness.site import CHAT, error_of, said
from harness.waiting import eventually

RETRY = "x-stainless-retry-count"
# Of a body of 1 MB; with it the server has no room for another request.
UNFINISHED = (1 << 20) - 16


@pytest.fixture(scope="module")
def site(open_site):
    return open_site(server={"max_body": "1MB", "max_buffered": "1MB"})


def metrics(site):
    """The metrics as a text."""
    return exchange(site.gateway.admin_port, "GET", "/metrics").body.decode()


def talk(site):
    """A session in which "continue" was said and answered once."""
    conversation = site.conversation()
    for text in ("hi", "continue"):
        conversation.say(text)
    return conversation


def test_a_retry_of_what_was_answered_takes_its_place(site):
    conversation = talk(site)
    conversation.say("continue", [(RETRY, "1")])
    assert conversation.stored_texts == ["hi", "re: hi", "continue", "re: continue"]


def test_a_retry_of_what_was_refused_before_it_was_read_takes_nobodys_place(site):
    conversation = talk(site)
    headers = [("X-Session-ID", conversation.session)]
    upload = request_bytes("POST", CHAT, [*site.headers(body=b"x"), ("Content-Length", 1 << 20)])
    with Connection(site.port) as other:
        other.send(upload, b" " * UNFINISHED, pause=0)
        eventually(lambda: f"turnpike_buffered_bytes {UNFINISHED}" in metrics(site))
        refusal = site.chat([said("continue")], conversation.model, [*headers, (RETRY, "0")])
        error_of(refusal, 503, "server_overloaded")
    eventually(lambda: "turnpike_buffered_bytes 0" in metrics(site))
    before = conversation.stored_texts
    response = site.chat([said("continue")], conversation.model, [*headers, (RETRY, "1")])
    assert "retry=1" not in response.header("x-turnpike-history")
    assert conversation.stored_texts == [*before, "continue", "re: continue"]
    # The same attempt once more is the same turn.
    site.chat([said("continue")], conversation.model, [*headers, (RETRY, "2")])
    assert conversation.stored_texts == [*before, "continue", "re: continue"]


def test_a_retry_of_what_found_no_connection_takes_nobodys_place(open_site):
    site = open_site(server={"max_connections": 4})
    conversation = talk(site)
    headers, alive = [("X-Session-ID", conversation.session)], lambda: exchange(site.port, "GET", "/healthz").status
    # One that is still closing would take the place of one of the four.
    eventually(lambda: 'turnpike_connections{listener="clients"} 0' in metrics(site))
    with ExitStack() as others:
        for _ in range(4):
            others.enter_context(Connection(site.port))
        eventually(lambda: alive() == 503)
        error_of(site.chat([said("continue")], conversation.model, [*headers, (RETRY, "0")]), 503, "too_many_connections")
    eventually(lambda: alive() == 200)
    before = conversation.stored_texts
    site.chat([said("continue")], conversation.model, [*headers, (RETRY, "1")])
    assert conversation.stored_texts == [*before, "continue", "re: continue"]
