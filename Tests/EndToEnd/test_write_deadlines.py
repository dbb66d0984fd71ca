"""While no write can be committed, each request that writes is answered soon and honestly, and the process ends in time."""
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import threading
import time

import pytest

from harness.client import exchange
from harness.database import MariaDB
from harness.site import SESSIONS, Site, error_of
from harness.waiting import eventually, together

# What a request may take: the deadline of 500 ms, and what a busy machine adds.
SOON = 4
DRAIN = 1


@pytest.fixture(scope="module")
def server():
    """A MariaDB whose commits the tests may stall."""
    with MariaDB() as server:
        yield server


def commits_stalled(server):
    """Nobody's COMMIT on the server is answered. Statements before it, and reads, are."""
    return server.holding("BACKUP STAGE START; BACKUP STAGE BLOCK_COMMIT", "BACKUP STAGE END")


@contextlib.contextmanager
def locked_file(site):
    """Another process has SQLite's write lock."""
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10); "
        "c.execute('BEGIN IMMEDIATE'); print('locked', flush=True); sys.stdin.read(); c.execute('ROLLBACK')")
    command = ["python3", "-c", program, site.directory / "turnpike.db"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().strip() == "locked"
        try:
            yield
        finally:
            process.stdin.close()
            process.wait(30)


@pytest.fixture(params=["sqlite", "mariadb"])
def backend(request):
    """Which database it is."""
    return request.param


@pytest.fixture
def site(tmp_path, backend, request):
    settings = {"database": request.getfixturevalue("server").create_database()} if backend == "mariadb" else {}
    session = {"title": "first_message", "max_messages_per_user": 100_000}
    with Site(tmp_path, spool={"commit_deadline": "500ms"}, server={"drain_timeout": f"{DRAIN}s"},
              plugins={"session": session}, **settings) as site:
        site.key(), site.key("bob")
        yield site


@pytest.fixture
def stalled(site, backend, request):
    """A context in which nothing can be committed."""
    if backend == "mariadb":
        return lambda: commits_stalled(request.getfixturevalue("server"))
    return lambda: locked_file(site)


def made(site, **fields):
    """The id of a new session."""
    response = site.send("POST", SESSIONS, fields)
    assert response.status == 201, response.raw
    return response.json()["id"]


def timed(call):
    """The answer of a call, and how long it took."""
    began = time.monotonic()
    return call(), time.monotonic() - began


def writes(site):
    """Every kind of request that writes, each to a session of its own that has a message; by name."""
    def session():
        identifier = made(site, title="before")
        assert site.send("POST", f"{SESSIONS}/{identifier}/messages", {"role": "user", "content": "hello"}).status == 201
        return identifier

    one = {"role": "user", "content": "one more"}
    patched, put, deleted, purged, restored, appended, batch, thumbed, unthumbed = (session() for _ in range(9))
    assert site.call("DELETE", f"{SESSIONS}/{restored}").status == 200
    feedback = f"{SESSIONS}/{unthumbed}/messages/1/feedback"
    assert site.send("PUT", feedback, {"thumb": "up"}).status == 200
    return {
        "PATCH": lambda: site.send("PATCH", f"{SESSIONS}/{patched}", {"title": "after"}),
        "PUT": lambda: site.send("PUT", f"{SESSIONS}/{put}", {"title": "after"}),
        "DELETE": lambda: site.call("DELETE", f"{SESSIONS}/{deleted}"),
        "purge": lambda: site.call("DELETE", f"{SESSIONS}/{purged}?purge=true"),
        "restore": lambda: site.call("POST", f"{SESSIONS}/{restored}/restore"),
        "create": lambda: site.send("POST", SESSIONS, {"title": "new"}),
        "append": lambda: site.send("POST", f"{SESSIONS}/{appended}/messages", one),
        "batch": lambda: site.send("POST", f"{SESSIONS}/{batch}/messages/batch", {"messages": [one, one]}),
        "feedback": lambda: site.send("PUT", f"{SESSIONS}/{thumbed}/messages/1/feedback", {"thumb": "up"}),
        "no feedback": lambda: site.call("DELETE", feedback),
        "import": lambda: site.send("POST", "/v1/chat/import", {"sessions": [{"messages": [one]}]}),
        "dialect": lambda: site.send("PATCH", f"/api/v1/chat/sessions/{patched}", {"title": "after"}),
        "erase": lambda: site.call("DELETE", f"{SESSIONS}?confirm=erase", user="bob"),
    }


CODES = {"sqlite": {"storage_unavailable"}, "mariadb": {"storage_unavailable", "storage_unconfirmed"}}


@pytest.mark.timeout(120)
def test_each_write_is_answered_within_the_deadline(site, backend, stalled):
    site.conversation(user="bob").say("hello")
    requests = writes(site)
    with stalled():
        answers = together(lambda name: (name, *timed(requests[name])), requests)
        for name, answer, seconds in answers:
            error = error_of(answer, 503)
            # A session that is made may also be made later: its lane goes on.
            assert error["code"] in CODES[backend] | ({"storage_unconfirmed"} if name == "create" else set()), name
            assert ("may or may not" in error["message"]) == (error["code"] == "storage_unconfirmed"), (name, error)
            assert answer.header("Retry-After") and seconds < SOON, (name, seconds)
        # Nobody waits any more, now that it is known.
        answer, seconds = timed(requests["PATCH"])
        assert answer.status == 503 and seconds < SOON
        assert site.call("GET", SESSIONS).status == 200, "lists go on"
    # What may be repeated is: it is done then, or was.
    for name in ["PATCH", "PUT", "feedback"]:
        eventually(lambda name=name: requests[name]().status == 200, timeout=30)
    for name in ["DELETE", "purge", "restore", "no feedback"]:
        eventually(lambda name=name: requests[name]().status in (200, 204, 404), timeout=30)
        assert requests[name]().status == 404
    eventually(lambda: requests["erase"]().status == 200, timeout=30)


@pytest.mark.timeout(120)
def test_an_outage_does_not_flood_the_log(site, stalled):
    identifier = made(site)
    with stalled():
        answers = [site.send("PATCH", f"{SESSIONS}/{identifier}", {"title": "after"}) for _ in range(30)]
    codes = {error_of(answer, 503)["code"] for answer in answers}
    lines = [line for line in site.gateway.log.splitlines() if "An exchange failed." in line]
    assert 1 <= len(lines) <= 2 * len(codes), lines


@pytest.mark.timeout(120)
def test_what_is_said_to_be_unchanged_stays_so(site, backend, stalled):
    identifiers = [made(site, title="before") for _ in range(6)]
    with stalled():
        answers = together(lambda one: site.send("PATCH", f"{SESSIONS}/{one}", {"title": "after"}), identifiers)
    codes = {one: error_of(answer, 503)["code"] for one, answer in zip(identifiers, answers)}
    # A write that comes behind those that were given up.
    last = made(site)
    eventually(lambda: site.send("PATCH", f"{SESSIONS}/{last}", {"title": "after"}).status == 200, timeout=30)
    titles = {one: site.call("GET", f"{SESSIONS}/{one}").json()["title"] for one in identifiers}
    assert all(titles[one] == "before" for one in identifiers if codes[one] == "storage_unavailable"), (titles, codes)
    if backend == "mariadb":
        assert "storage_unconfirmed" in codes.values(), "a COMMIT that is under way cannot be called off"


@pytest.mark.timeout(120)
def test_messages_that_are_appended_again_with_their_idempotency_key_are_stored_once(site, stalled):
    identifier = made(site)
    messages = {"messages": [{"role": "user", "content": text} for text in ["one", "two"]]}
    path, key = f"{SESSIONS}/{identifier}/messages/batch", [("Idempotency-Key", "k1")]
    with stalled():
        refused = site.send("POST", path, messages, key)
        assert error_of(refused, 503) and refused.header("Retry-After")
    stored = eventually(lambda: site.send("POST", path, messages, key), lambda answer: answer.status == 201, timeout=30)
    again = site.send("POST", path, messages, key)
    assert again.status == 201 and again.json()["data"] == stored.json()["data"]
    assert [message["content"] for message in site.stored(identifier)] == ["one", "two"]
    other = {"messages": [{"role": "user", "content": "three"}]}
    assert site.send("POST", path, other, key).status == 201
    assert [message["content"] for message in site.stored(identifier)] == ["one", "two", "three"]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("stream", [False, True])
def test_the_first_chat_in_a_session_without_a_title_is_answered_and_names_it(site, stalled, stream):
    identifier = made(site)
    conversation = site.conversation(identifier)
    with stalled():
        _, seconds = timed(lambda: conversation.say("what a day", stream=stream))
        assert seconds < SOON
        conversation.say("another", stream=stream)
        assert conversation.texts == ["what a day", "re: what a day", "another"]
    title = lambda: site.call("GET", f"{SESSIONS}/{identifier}").json()["title"]
    eventually(lambda: title() == "what a day", timeout=30)
    eventually(lambda: conversation.stored_texts == ["what a day", "re: what a day", "another", "re: another"], timeout=30)


@pytest.mark.timeout(120)
def test_sigterm_ends_it_in_time_and_nothing_that_was_seen_is_lost(site, stalled):
    conversations = [site.conversation() for _ in range(6)]
    for conversation in conversations:
        conversation.say("one")
    requests = writes(site)
    rows = []
    with stalled():
        for conversation in conversations[:3]:
            rows.append(conversation.say("two"))
        threads = [threading.Thread(target=quietly, args=(call,)) for call in requests.values()]
        threads += [threading.Thread(target=quietly, args=(lambda one=one: one.try_to_say("late"),)) for one in conversations[3:]]
        for thread in threads:
            thread.start()
        began = time.monotonic()
        os.kill(site.gateway.pid, signal.SIGTERM)
        assert site.gateway.wait(30) == 0
        assert time.monotonic() - began < DRAIN + 8
        for thread in threads:
            thread.join(30)
    site.start()
    eventually(lambda: exchange(site.port, "GET", "/readyz").json()["spool"]["turns"] == 0, timeout=60)
    for conversation in conversations[:3]:
        assert conversation.stored_texts == ["one", "re: one", "two", "re: two"]
    for conversation in conversations[3:]:
        assert conversation.stored_texts in (["one", "re: one"], ["one", "re: one", "late", "re: late"])
    for row in rows:
        assert site.activity(row)


@pytest.mark.timeout(120)
def test_sigterm_ends_it_in_time_while_the_server_hangs(tmp_path, server):
    with Site(tmp_path, database=server.create_database(), spool={"commit_deadline": "500ms"},
              server={"drain_timeout": f"{DRAIN}s"}) as site:
        conversation = site.conversation()
        conversation.say("one")
        identifier = made(site)
        site.settle()
        server.pause()
        try:
            conversation.say("two", timeout=20)
            thread = threading.Thread(
                target=quietly, args=(lambda: site.send("PATCH", f"{SESSIONS}/{identifier}", {"title": "x"}),))
            thread.start()
            began = time.monotonic()
            assert site.gateway.terminate(30) == 0
            assert time.monotonic() - began < DRAIN + 5
            thread.join(30)
            # And one that has just begun.
            site.start(until="/healthz")
            began = time.monotonic()
            assert site.gateway.terminate(30) == 0
            assert time.monotonic() - began < DRAIN + 5
        finally:
            server.resume()
        site.start()
        eventually(lambda: exchange(site.port, "GET", "/readyz").json()["spool"]["turns"] == 0, timeout=60)
        assert conversation.stored_texts == ["one", "re: one", "two", "re: two"]


def quietly(call):
    """Calls; what comes of it is told by the database."""
    with contextlib.suppress(OSError, AssertionError, json.JSONDecodeError, sqlite3.Error):
        call()
