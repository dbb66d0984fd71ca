"""Every error code is documented, and those that no other test names are provoked here."""
import re
from pathlib import Path

import pytest

from harness.client import Connection, request_bytes
from harness.pages import error_statuses
from harness.site import CHAT, error_of

ROOT = Path(__file__).resolve().parents[2]
MADE = re.compile(r'(?:code:|badRequest\(|unavailable\(|unauthorized\(|limitReached\()\s*"([a-z_]+)"')
EITHER = re.compile(r'badRequest\([^"\n]*\? "([a-z_]+)" : "([a-z_]+)"')

# An export breaks off only where the database fails in the midst of it; a context window's limit is the model's matter.
UNPROVOKED = {"export_interrupted", "context_length_exceeded"}


def codes_in_the_source():
    """The codes that errors are made with."""
    files = [*ROOT.glob("Sources/**/*.swift"), *ROOT.glob("plugins/*/Sources/**/*.swift")]
    texts = [path.read_text() for path in files if "TurnpikeTesting" not in path.parts]
    return {code for text in texts for code in MADE.findall(text)} | {
        code for text in texts for pair in EITHER.findall(text) for code in pair}


def test_the_table_has_every_code_and_no_other():
    documented, made = set(error_statuses()), codes_in_the_source()
    assert made - documented == set(), "add them to docs/errors.md"
    assert documented - made == set(), "nothing makes these any more"


def test_every_code_is_named_by_a_test():
    tests = [*ROOT.glob("Tests/**/*.swift"), *ROOT.glob("Tests/**/*.py"), *ROOT.glob("plugins/*/Tests/**/*.swift")]
    text = "".join(path.read_text() for path in tests)
    unnamed = {code for code in error_statuses() if f'"{code}"' not in text}
    assert unnamed - UNPROVOKED == set()


@pytest.fixture(scope="module")
def site(open_site):
    return open_site(server={"head_timeout": "1s", "body_timeout": "1s"}, plugins={"capture": {"max_turn": "2KB"}})


def raw(site, *pieces):
    """What a client gets for these bytes."""
    with Connection(site.port) as connection:
        connection.send(*pieces)
        return connection.read_response()


HEADS = {
    "invalid_request_target": b"GET http://example.com/v1/models HTTP/1.1\r\nHost: x\r\n\r\n",
    "http_version_not_supported": b"GET /v1/models HTTP/7.3\r\nHost: x\r\n\r\n",
    "method_not_supported": b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "websocket_not_supported": b"GET /v1/realtime HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "expectation_failed": b"POST /v1/models HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\nContent-Length: 1\r\n\r\n",
    "malformed_request": b"GET /v1/models HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("code", HEADS)
def test_a_head_that_cannot_be_served(site, code):
    error_of(raw(site, HEADS[code]), error_statuses()[code], code)


def test_a_head_and_a_body_that_do_not_come(site):
    error_of(raw(site, b"GET /v1/mod"), 408, "request_timeout")
    body = request_bytes("POST", CHAT, [site.bearer(), ("Content-Length", 10)])
    error_of(raw(site, body + b"{"), 408, "request_timeout")


@pytest.mark.parametrize("path", ["/v1/../admin", "/v1/%2e%2e/admin", "/v1/files/%zz"])
def test_a_path_that_could_be_another(site, path):
    error_of(site.call("GET", path), 400, "invalid_path")


def test_a_method_that_the_path_does_not_have(site):
    response = site.call("PUT", CHAT, b"{}")
    error_of(response, 405, "method_not_allowed")
    assert response.header("Allow")


def test_a_turn_that_is_too_large_reaches_nobody(site):
    conversation = site.conversation()
    error = error_of(conversation.try_to_say("x" * 3000), 413, "turn_too_large")
    assert error["param"] == "messages" and site.sent(conversation.model) == []
    conversation.say("x" * 1000)


@pytest.mark.parametrize("query, code", [("?limit=0", "invalid_limit"), ("?before=x", "invalid_cursor"), ("/stats?since=1", "invalid_since")])
def test_a_question_to_the_activity_log_that_makes_no_sense(site, query, code):
    error_of(site.call("GET", "/v1/activity" + query), 400, code)


def test_a_body_that_is_no_json(site):
    error_of(site.call("POST", CHAT, b"model=x"), 400, "invalid_json")


def test_a_parameter_that_stands_twice(site):
    error = error_of(site.call("POST", CHAT, b'{"model":"a","model":"b","messages":[]}'), 400, "duplicate_parameter")
    assert error["param"] == "model"
