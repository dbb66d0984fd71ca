"""Bodies of many megabytes are worked on beside the event loops: they never hold up the other clients."""
import threading
import time
from dataclasses import replace

import pytest

from harness import chat
from harness.answers import sse_answer, sse_event
from harness.ports import free_port
from harness.site import CHAT, fresh

EVENTS = 400
PAUSE = 0.01

MESSAGE = b'{"role":"user","content":"x"}'
HOSTILE = {
    # Many messages: each is validated and hashed.
    "messages": lambda model: b'{"model":"%s","messages":[' % model + b",".join([MESSAGE] * 200_000) + b"]}",
    # Keys whose escapes have to be looked at whenever a key is looked for, in the request and in a message.
    "escaped keys": lambda model: b"{" + b"".join(b'"\\u006d%03x":1,' % n for n in range(4_000)) + b'"model":"%s","messages":[{"role":"user",%s"content":"x"}]}' % (model, b"".join(b'"\\u0072%06x":1,' % n for n in range(200_000))),
    # More members than any request has.
    "members": lambda model: b"{" + b"".join(b'"\\u006d%06x":1,' % n for n in range(250_000)) + b'"model":"%s","messages":[%s]}' % (model, MESSAGE),
    # Nothing that memchr could skip.
    "brackets": lambda model: b'{"model":"%s","messages":[%s],"x":[%s1]}' % (model, MESSAGE, b"[],[{}]," * 1_000_000),
    # One text, escaped throughout.
    "escapes": lambda model: b'{"model":"%s","messages":[{"role":"user","content":"%s"}]}' % (model, b"\\u00e9" * 1_500_000),
}

@pytest.fixture(scope="module")
def site(open_site):
    # What is hostile goes to a provider that refuses connections: reading it would keep the scripted one busy.
    nowhere = {"base_url": f"http://127.0.0.1:{free_port()}/v1"}
    return open_site(
        server={"threads": 1}, providers={"nowhere": nowhere},
        models={"hostile": {"provider": "nowhere"}, "*": {"provider": "scripted"}})

class PacedReader(threading.Thread):
    """Reads a stream whose events come at a steady pace, and notes the longest silence."""

    def __init__(self, site):
        super().__init__(daemon=True)
        events = [sse_event(chat.delta({"content": self._mark(number)})) for number in range(EVENTS)]
        answer = replace(sse_answer(events), pause=PAUSE)
        self._connection = site.open_chat("x", site.script(fresh("paced"), answer), stream=True, timeout=60)
        self.longest, self.failure, self.began, self.enough = 0.0, None, threading.Event(), threading.Event()

    @staticmethod
    def _mark(number):
        return f"piece {number:04d}"

    def run(self):
        try:
            self._connection.read_until(self._mark(0).encode())
            self.began.set()
            last = time.monotonic()
            for number in range(1, EVENTS):
                if self.enough.is_set():
                    break
                self._connection.read_until(self._mark(number).encode())
                now = time.monotonic()
                self.longest, last = max(self.longest, now - last), now
        except BaseException as error:
            self.failure = error
            self.began.set()

@pytest.mark.parametrize("in_session", [False, True], ids=["stateless", "in a session"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_paced_stream_goes_on_beside_a_large_body(site, kind, in_session):
    body = HOSTILE[kind](b"hostile")
    headers = [("X-Session-ID", fresh("session"))] if in_session else []
    paced = PacedReader(site)
    paced.start()
    paced.began.wait(30)
    began = time.monotonic()
    response = site.call("POST", CHAT, body, headers, timeout=120)
    took = time.monotonic() - began
    paced.enough.set()
    paced.join(120)
    assert paced.failure is None, paced.failure
    assert response.status in (413, 502), response.raw[:1000]
    # On the loop the silence would last about as long as the request. What remains on it are pieces of copying.
    assert paced.longest < max(0.15, took / 4), f"silence of {paced.longest * 1000:.0f} ms beside a request of {took * 1000:.0f} ms"
