"""SIGTERM ends nothing that runs, SIGKILL loses nothing that was acknowledged."""
import os
import signal
import threading
import time
from dataclasses import replace

import pytest

from harness import chat
from harness.answers import json_answer, sse_answer
from harness.client import Connection, exchange, request_bytes
from harness.events import events_of, is_done, text_of
from harness.site import Site, fresh
from harness.waiting import eventually


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path, server={"drain_timeout": "1s"}) as site:
        yield site


def refuses_connections(port):
    try:
        return exchange(port, "GET", "/healthz", timeout=2).status >= 500
    except (OSError, AssertionError):
        return True


def ask_to_end(site):
    """Sends SIGTERM and waits until no new client is served."""
    os.kill(site.gateway.pid, signal.SIGTERM)
    eventually(lambda: refuses_connections(site.port))


def slow_stream(words, pause):
    return replace(sse_answer(chat.text_events(words)), pause=pause)


@pytest.mark.parametrize("in_session", [False, True], ids=["stateless", "in a session"])
def test_a_running_stream_is_finished_and_new_clients_are_refused(site, in_session):
    words = ["a"] * 15
    model = site.script(fresh("model"), slow_stream(words, 0.03))
    headers = [("X-Session-ID", "s")] if in_session else []
    with site.open_chat("x", model, headers, stream=True) as connection:
        connection.read_until(b'"content":"a"')
        ask_to_end(site)
        response = connection.read_response()
    assert response.complete and is_done(response.body) and text_of(response.body) == "a" * 15
    assert site.gateway.stop() == 0
    if in_session:
        site.start()
        assert [message["content"] for message in site.stored("s")] == ["x", "a" * 15]


def test_an_idle_connection_does_not_hold_up_the_end(site):
    with Connection(site.port) as connection:
        connection.send(request_bytes("GET", "/healthz"))
        assert connection.read_response().status == 200
        began = time.monotonic()
        assert site.gateway.terminate() == 0
        assert time.monotonic() - began < 0.9
        assert connection.read_to_end() == b""


def test_what_runs_longer_than_the_drain_timeout_is_cut_and_says_so(site):
    answer = sse_answer(chat.text_events(["Hel", "lo"]))
    stalled = answer.stalled_at(sum(map(len, answer.pieces[:3])))
    with site.open_chat("x", site.script(fresh("model"), stalled), [("X-Session-ID", "s")], stream=True) as connection:
        connection.read_until(b"Hel")
        began = time.monotonic()
        status = site.gateway.terminate()
        assert status == 0 and 0.8 < time.monotonic() - began < 6
        response = connection.read_response()
    assert not is_done(response.body) and not response.complete
    assert events_of(response.body)[-1].name == "error"
    site.start()
    assert [message["content"] for message in site.stored("s")] == ["x", "Hel"]
    # The upstream was not at fault.
    assert site.activity(response)["capture_status"] == "cancelled"


def test_a_request_that_waits_for_its_upstream_is_answered_or_told(site):
    model = site.script(fresh("model"), json_answer(chat.completion()).stalled_at(0))
    with site.open_chat("x", model) as connection:
        eventually(lambda: site.sent(model))
        assert site.gateway.terminate() == 0
        response = connection.read_response()
    assert response.status == 503 and response.json()["error"]["code"] == "server_shutting_down"


def test_sigint_ends_it_too(site):
    os.kill(site.gateway.pid, signal.SIGINT)
    assert site.gateway.wait() == 0


def test_the_activity_of_the_last_moment_is_written(site):
    ids = [site.chat("x").header("x-turnpike-request-id") for _ in range(5)]
    assert site.gateway.terminate() == 0
    site.start()
    assert all(site.activity_of(request_id) for request_id in ids)


def test_after_a_restart_sessions_go_on(site):
    conversation = site.conversation("s")
    conversation.say("one")
    site.gateway.stop()
    site.start()
    conversation.say("two")
    assert conversation.texts == ["one", "re: one", "two"]


@pytest.mark.parametrize("stream", [False, True])
def test_every_acknowledged_turn_survives_sigkill(site, stream):
    site.key()
    acknowledged = {number: [] for number in range(8)}
    enough = threading.Event()

    def talk(number):
        conversation = site.conversation(f"s{number}")
        while True:
            text = f"{len(acknowledged[number])}"
            try:
                response = conversation.try_to_say(text, stream=stream)
            except (OSError, AssertionError):
                return
            if not response.complete or response.status != 200 or (stream and not is_done(response.body)):
                return
            acknowledged[number] += [text, f"re: {text}"]
            if sum(map(len, acknowledged.values())) > 200:
                enough.set()

    threads = [threading.Thread(target=talk, args=[number]) for number in acknowledged]
    for thread in threads:
        thread.start()
    assert enough.wait(20)
    site.gateway.kill()
    for thread in threads:
        thread.join(20)
    site.start()
    for number, texts in acknowledged.items():
        stored = [message["content"] for message in site.stored(f"s{number}")]
        assert stored[: len(texts)] == texts and len(stored) <= len(texts) + 2
