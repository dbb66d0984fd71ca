"""While the database says nothing, or holds a table, each request that reads is answered soon and honestly; so are commands."""
import contextlib
import socket
import subprocess
import time

import pytest

from harness.client import request_bytes
from harness.database import MariaDB
from harness.gateway import binary, environment
from harness.site import SESSIONS, Site, error_of
from harness.waiting import eventually, together

# What a request may take while the database answers nobody: two seconds, and what a busy machine adds.
SOON = 6
# And while only this one is not answered.
LATER = 16
# Of keys the process may just have forgotten everything, because one was made.
CODES = {"storage_unavailable", "activity_unavailable", "export_interrupted", "authentication_unavailable"}


@pytest.fixture(scope="module")
def server():
    """A MariaDB that the tests may stop."""
    with MariaDB() as server:
        yield server


@pytest.fixture
def site(tmp_path, server):
    with Site(tmp_path, database=server.create_database()) as site:
        site.key()
        yield site


@pytest.fixture
def silent(server):
    """A context in which the server says nothing."""
    @contextlib.contextmanager
    def silence():
        server.pause()
        try:
            yield
        finally:
            server.resume()
    return silence


def locked(server, site, *tables):
    """Somebody holds the tables."""
    database = site.database.split("@/")[1].split("?")[0]
    return server.holding(f"LOCK TABLES {', '.join(f'{table} WRITE' for table in tables)}", "UNLOCK TABLES", database)


def reads(site):
    """Every kind of request that reads, by name."""
    conversation = site.conversation()
    conversation.say("hello")
    session = f"{SESSIONS}/{conversation.session}"
    targets = [SESSIONS, f"{SESSIONS}?source_channel=web", session, f"{session}/messages", f"{session}/messages/1", f"{session}/export",
               f"{session}/branches", "/v1/chat/search?query=hello", "/v1/chat/stats", "/v1/chat/export", "/v1/activity",
               "/v1/activity/stats", "/api/v1/chat/sessions", "/api/v1/sessions"]
    return {target: lambda target=target: site.call("GET", target, timeout=LATER + 10) for target in targets}


def timed(call):
    """The answer of a call, and how long it took."""
    began = time.monotonic()
    return call(), time.monotonic() - began


def answers(requests):
    """What becomes of all of them at once."""
    return together(lambda name: (name, *timed(requests[name])), requests)


@pytest.mark.timeout(120)
def test_each_read_is_answered_soon_while_the_server_hangs(site, silent):
    requests = reads(site)
    assert all(answer.status == 200 for _, answer, _ in answers(requests))
    with silent():
        for name, answer, seconds in answers(requests):
            # A session is read from memory, and an export of it begins: it is cut.
            if answer.status == 200:
                assert (name.startswith(f"{SESSIONS}/") and name.count("/") == 4) or not answer.complete, name
            else:
                assert error_of(answer, 503)["code"] in CODES and answer.header("Retry-After"), name
            assert seconds < SOON, (name, seconds)
    for name, request in requests.items():
        eventually(lambda request=request: request().status == 200, timeout=30)


@pytest.mark.timeout(120)
def test_each_read_of_a_locked_table_is_answered_too(site, server):
    requests = reads(site)
    with locked(server, site, "messages", "activity"):
        for name, answer, seconds in answers({name: requests[name] for name in requests if "messages" in name or "activity" in name}):
            assert error_of(answer, 503)["code"] in CODES and answer.header("Retry-After"), name
            assert seconds < LATER, (name, seconds)
        assert site.call("GET", SESSIONS).status == 200, "what needs other tables goes on"


@pytest.mark.timeout(120)
def test_a_list_that_has_begun_ends_as_incomplete(site, silent):
    conversation = site.conversation()
    conversation.say("first")
    batch = {"messages": [{"role": "user", "content": "x" * 1_000_000}] * 8}
    for _ in range(4):
        assert site.send("POST", f"{SESSIONS}/{conversation.session}/messages/batch", batch).status == 201
    with socket.create_connection(("127.0.0.1", site.port), timeout=LATER) as client:
        # A small window keeps the server from being ahead of what is read.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        client.sendall(request_bytes("GET", f"{SESSIONS}/{conversation.session}/export", site.headers()))
        received = client.recv(10_000)
        assert b"200 OK" in received and b"chunked" in received.lower()
        with silent():
            began, end = time.monotonic(), received[-16:]
            with contextlib.suppress(ConnectionResetError):
                while data := client.recv(1 << 20):
                    end = (end + data)[-16:]
            assert not end.endswith(b"0\r\n\r\n")
            assert time.monotonic() - began < LATER


def ended(site, command):
    """A command that has ended."""
    words = [binary(), *command, "--config", site.gateway.config_path]
    return subprocess.run(words, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("command", [["keys", "list"], ["users", "list"], ["users", "create", "carol"], ["migrate"], ["migrate", "--dry-run"]])
def test_a_command_says_what_is_the_matter(site, server, silent, command):
    with silent():
        done, seconds = timed(lambda: ended(site, command))
        assert done.returncode == 1 and "the database" in done.stderr and "repeat the command" in done.stderr, done.stderr
        assert seconds < 20, seconds
    if command[:2] == ["users", "create"]:
        with locked(server, site, "users", "api_keys"):
            done, seconds = timed(lambda: ended(site, command))
            assert done.returncode == 1 and "repeat" in done.stderr, done.stderr
            assert seconds < 20, seconds
