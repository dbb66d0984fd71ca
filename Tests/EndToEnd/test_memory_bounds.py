"""What clients and upstreams can make the gateway hold in memory is bounded for all of them together."""
import http.client
import json

import pytest

from harness import chat
from harness.answers import chunked_answer, json_answer, sse_event
from harness.site import SESSIONS, error_of, fresh
from harness.waiting import eventually, together

MB = 1 << 20
BOUND = 96 * MB
# Beside what is counted: code, connections, what the allocator keeps, and the copies that the database makes for moments.
SLACK = 140 * MB


@pytest.fixture(scope="module")
def site(open_site):
    return open_site(server={"max_buffered": f"{BOUND // MB}MB", "max_body": "24MB"}, plugins={"capture": {"max_answer": "8MB"}})


class Peak:
    """The largest resident memory of a process while the block runs, above what it was before."""

    def __init__(self, pid):
        self._path = f"/proc/{pid}"

    def __enter__(self):
        with open(f"{self._path}/clear_refs", "w") as file:
            file.write("5")  # begins the peak anew
        self._before = self._read("VmRSS")
        return self

    def __exit__(self, *_):
        self.bytes = self._read("VmHWM") - self._before

    def _read(self, name):
        with open(f"{self._path}/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name + ":"))


def fill(site, conversation, messages, size):
    """Stores so many long messages, and short answers."""
    conversation.answer(json_answer(chat.completion("ok")))
    for _ in range(messages):
        conversation.say("x" * size, [("X-History-Mode", "append")])


def test_histories_of_many_megabytes_are_read_within_the_bound(site):
    conversation = site.conversation()
    fill(site, conversation, 8, 5 * MB // 2)
    header = [("X-Session-ID", conversation.session)]
    with Peak(site.gateway.pid) as peak:
        responses = together(lambda _: site.chat("y", headers=header, timeout=60), range(12))
    assert {response.status for response in responses} <= {200, 413, 503}
    for response in responses:
        if response.status != 200:
            error = error_of(response, response.status)
            assert (response.status, error["code"]) in [(413, "history_too_large"), (503, "server_overloaded")]
    assert peak.bytes < BOUND + SLACK, f"{peak.bytes / MB:.0f} MB"
    assert conversation.try_to_say("z", [("X-History-Mode", "replace")]).status == 200


def fetched(site, target):
    """Status and JSON of a GET, read as fast as it comes: the harness' own reader looks at all bytes again for each piece."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)
    try:
        connection.request("GET", target, headers=dict([site.bearer("alice")]))
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_lists_of_long_messages_are_whole_and_stay_within_the_bound(site):
    conversation = site.conversation()
    fill(site, conversation, 7, 3 * MB)
    with Peak(site.gateway.pid) as peak:
        lists = together(lambda _: fetched(site, f"{SESSIONS}/{conversation.session}/messages?limit=1000"), range(6))
    for status, body in lists:
        if status == 503:
            assert body["error"]["code"] == "server_overloaded"
        else:
            assert status == 200 and not body["has_more"] and len(body["data"]) == body["total"] == 14
    assert any(status == 200 for status, _ in lists)
    assert peak.bytes < BOUND + SLACK, f"{peak.bytes / MB:.0f} MB"


def test_long_messages_are_stored_shown_and_exported_within_the_bound(site):
    session = site.send("POST", SESSIONS, {}).json()["id"]
    messages = f"{SESSIONS}/{session}/messages"
    # Sent, read back, and shown with its copies: six times what it is.
    error_of(site.call("POST", messages, long_message(17 * MB), timeout=60), 503, "server_overloaded")
    assert site.call("GET", messages).json()["total"] == 0, "what is refused is not stored"
    stored = site.call("POST", messages, long_message(13 * MB), timeout=60)
    assert stored.status == 201
    for target in (f"{messages}/{stored.json()['id']}", f"{SESSIONS}/{session}/export"):
        with Peak(site.gateway.pid) as peak:
            answers = together(lambda _: fetched_or_cut(site, target), range(6))
        assert {status for status, _ in answers} <= {200, 503, None} and any(status == 200 for status, _ in answers)
        assert peak.bytes < BOUND + SLACK, f"{target}: {peak.bytes / MB:.0f} MB"


def long_message(size):
    """The body of a request that stores a message."""
    return json.dumps({"role": "user", "content": "x" * size}).encode()


def fetched_or_cut(site, target):
    """As `fetched`; no status where the answer ended early."""
    try:
        return fetched(site, target)
    except (http.client.HTTPException, OSError, ValueError):
        return None, None


def test_captured_streams_are_held_within_the_bound(site):
    text = "x" * (64 << 10)
    deltas = [sse_event(chat.delta({"content": text})) for _ in range(96)]  # 6 MB
    events = [*deltas, sse_event(chat.delta({}, "stop")), sse_event("[DONE]")]
    model = site.script(fresh("model"), chunked_answer([b"".join(events[at : at + 4]) for at in range(0, len(events), 4)]))
    with Peak(site.gateway.pid) as peak:
        ask = lambda number: site.chat("y", model, [("X-Session-ID", fresh("session"))], stream=True, timeout=120)
        responses = together(ask, range(40), workers=40)
    whole = [response for response in responses if b"[DONE]" in response.body]
    for response in responses:
        if response.status == 200:
            assert (response in whole) == response.complete
            assert response.complete or b'"server_overloaded"' in response.body
        else:
            error_of(response, 503, "server_overloaded")
    assert len(whole) < 40, "40 of them are more than the bound"
    assert all(response.status == 200 and response.complete for response in together(ask, range(5))), "five of them are less"
    assert peak.bytes < BOUND + SLACK, f"{peak.bytes / MB:.0f} MB"


def test_afterwards_everything_is_given_back(site):
    answers = eventually(
        lambda: together(lambda number: site.chat("x" * 8 * MB, timeout=60), range(6)),
        lambda answers: all(answer.status == 200 for answer in answers), timeout=30)
    assert len(answers) == 6
    whole = "x" * (20 * MB)
    assert site.chat(whole, timeout=60).status == 200
