"""The server on its own socket: connections, limits, slow and odd clients, browsers."""
import json
import re
import time

import pytest

from harness import chat
from harness.answers import in_pieces, json_answer, sse_answer
from harness.client import Connection, exchange, request_bytes
from harness.gateway import Gateway, binary
from harness.site import CHAT, SESSIONS, error_of, fresh, said
from harness.waiting import eventually, together

ORIGIN = "https://chat.example.com"


@pytest.fixture(scope="module")
def site(open_site):
    site = open_site(server={
        "max_head": "16KB", "max_body": "1MB", "max_buffered": "2MB", "head_timeout": "400ms", "body_timeout": "400ms", "idle_timeout": "400ms",
        "write_timeout": "1s", "cors_origins": [ORIGIN],
    })
    # Making a key takes longer than a connection may be idle.
    site.key()
    return site


def message(site, model, headers=(), user="alice", **fields):
    """The bytes of a chat request."""
    body = json.dumps({"model": model, "messages": [said("x")], **fields}).encode()
    return request_bytes("POST", CHAT, site.headers(user, headers, body), body)


def upload(site, length, user="alice", headers=()):
    """The head of a chat request whose body has `length` bytes."""
    return request_bytes("POST", CHAT, [*site.headers(user, headers, b"x"), ("Content-Length", length)])


# Heads


@pytest.mark.parametrize("space", [" ", "\t", " \t  "])
def test_white_space_around_a_headers_value_is_no_part_of_it(site, space):
    model, session = fresh("model"), fresh("session")
    padded = lambda value: f"{space}{value}{space}"
    headers = [("Authorization", padded(f"Bearer {site.key()}")), ("X-Custom", padded("a b"))]
    body = json.dumps({"model": model, "messages": [said("x")]}).encode()
    for identifier in (session, padded(session)):
        assert exchange(site.port, "POST", CHAT, [*headers, ("X-Session-ID", identifier)], body).status == 200
    assert [b"X-Custom: a b\r\n" in request.raw for request in site.sent(model)] == [True, True]
    assert len(site.call("GET", f"{SESSIONS}/{session}/messages").json()["data"]) == 4


# Connections


def test_a_connection_serves_many_requests(site):
    with Connection(site.port) as connection:
        for _ in range(20):
            connection.send(message(site, fresh("model")))
            assert connection.read_response().status == 200


def test_a_connection_survives_errors_and_refusals(site):
    with Connection(site.port) as connection:
        for sent, status in (
            (request_bytes("GET", "/v1/unheard", site.headers()), 404), (message(site, fresh("model"), user=None), 401),
            (request_bytes("POST", CHAT, site.headers(body=b"{"), b"{"), 400), (message(site, fresh("model"), stream=True), 200),
            (message(site, fresh("model")), 200),
        ):
            connection.send(sent)
            assert connection.read_response().status == status


def test_pipelined_requests_are_answered_in_order(site):
    models = [site.script(fresh("model"), json_answer({"n": number})) for number in range(5)]
    with Connection(site.port) as connection:
        connection.send(b"".join(message(site, model) for model in models))
        assert [connection.read_response().json()["n"] for _ in models] == list(range(5))


def test_pipelined_requests_behind_a_stream_wait_for_its_end(site):
    answer = sse_answer(chat.text_events(["a"] * 50))
    stream, document = site.script(fresh("model"), answer), fresh("model")
    with Connection(site.port) as connection:
        connection.send(message(site, stream, stream=True) + message(site, document))
        assert connection.read_response().complete
        assert connection.read_response().status == 200


def test_requests_that_arrive_byte_by_byte_are_answered(site):
    sent = message(site, fresh("model")) + message(site, fresh("model"), [("X-Session-ID", fresh("session"))], stream=True)
    with Connection(site.port) as connection:
        connection.send(*in_pieces(sent, 1), pause=0)
        assert [connection.read_response().status for _ in range(2)] == [200, 200]


def test_connection_close_is_honoured(site):
    with Connection(site.port) as connection:
        connection.send(message(site, fresh("model"), [("Connection", "close")]))
        assert connection.read_to_end().startswith(b"HTTP/1.1 200")


def test_a_client_that_ends_its_half_still_gets_its_answer(site):
    with Connection(site.port) as connection:
        connection.send(message(site, fresh("model")))
        connection.finish_sending()
        try:
            assert connection.read_response().status == 200
        except AssertionError as error:
            # A server may take the end of input for a client that left; it must not hang.
            assert "closed before" in str(error)


@pytest.fixture
def traced(start_process, upstream, tmp_path, monkeypatch):
    """A gateway, and the file with its calls that are about sockets."""
    program, calls, untraced = tmp_path / "turnpike", tmp_path / "calls", binary()
    program.write_text(f'#!/bin/sh\nexec strace -D -f -e trace=listen,accept4,connect,setsockopt -o {calls} {untraced} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("TURNPIKE_BINARY", str(program))
    gateway = start_process(Gateway, providers={"scripted": {"base_url": upstream.url}})
    monkeypatch.setenv("TURNPIKE_BINARY", untraced)
    return gateway, calls


def test_nobody_is_taken_before_there_is_somebody_to_answer(traced):
    # One for clients and one for the operator: asking whether a port is free is not listening on it.
    assert len(re.findall(r"listen\(", traced[1].read_text())) == 2


def test_no_connection_waits_for_more_bytes_before_it_sends(traced, upstream):
    """TCP_NODELAY on both sides: on loopback nobody would notice by the clock that it is missing."""
    gateway, calls = traced
    upstream.on("/v1/models", json_answer(chat.models("m")))
    headers = [("Authorization", f"Bearer {gateway.create_key('alice')}")]
    assert exchange(gateway.port, "GET", "/v1/models", headers).status == 200

    def counted(pattern):
        return len(re.findall(pattern, calls.read_text(), re.M))

    accepted, connected = counted(r"accept4.* = \d+$"), counted(rf"connect\(.*htons\({upstream.port}\)")
    assert accepted > 1 and connected == 1
    # The two listeners have it as well.
    eventually(lambda: counted("TCP_NODELAY") >= 2 + accepted + connected)


def test_many_connections_at_once_are_served(site):
    model = fresh("model")
    site.key()
    assert together(lambda _: site.chat("x", model).status, range(200), workers=50) == [200] * 200


# Expect


def test_a_body_is_invited_only_after_the_key_was_found_good(site):
    model = fresh("model")
    body = message(site, model).partition(b"\r\n\r\n")[2]
    with Connection(site.port) as connection:
        connection.send(upload(site, len(body), headers=[("Expect", "100-continue")]))
        assert connection.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(body)
        assert connection.read_response().status == 200


def test_a_body_without_a_good_key_is_never_invited(site):
    for user in (None, "wrong"):
        fields = [("Expect", "100-continue"), *([("Authorization", "Bearer sk-wrong")] if user else [])]
        with Connection(site.port) as connection:
            connection.send(upload(site, 100_000, None, fields))
            assert connection.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 401")


def test_a_body_for_a_path_that_takes_none_is_never_invited(site):
    with Connection(site.port) as connection:
        connection.send(request_bytes("POST", "/v1/unheard", [*site.headers(body=b"x"), ("Expect", "100-continue"), ("Content-Length", 9)]))
        assert connection.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 404")


def test_another_expectation_is_417(site):
    with Connection(site.port) as connection:
        connection.send(upload(site, 2, headers=[("Expect", "miracles")]) + b"{}")
        assert connection.read_response().status == 417


# Limits


def test_a_body_that_announces_too_much_is_413_before_it_is_sent(site):
    with Connection(site.port) as connection:
        connection.send(upload(site, (1 << 20) + 1))
        error_of(connection.read_response(), 413, "request_too_large")


def test_a_chunked_body_that_grows_too_large_is_413(site):
    with Connection(site.port) as connection:
        connection.send(request_bytes("POST", CHAT, [*site.headers(body=b"x"), ("Transfer-Encoding", "chunked")]))
        try:
            for _ in range(20):
                connection.send(b"10000\r\n" + b" " * 65_536 + b"\r\n", pause=0)
        except OSError:
            pass
        assert connection.read_response().status == 413


def test_a_body_of_exactly_the_limit_passes(site):
    model = fresh("model")
    start = f'{{"model":"{model}","messages":[],"x":"'.encode()
    body = start + b"y" * ((1 << 20) - len(start) - 2) + b'"}'
    assert len(body) == 1 << 20 and site.call("POST", CHAT, body).status == 200


def test_all_bodies_together_are_bounded(site):
    with Connection(site.port) as first, Connection(site.port) as second, Connection(site.port) as third:
        for connection in (first, second):
            connection.send(upload(site, 900_000) + b" " * 899_999)
        time_is_left = eventually(lambda: True)
        third.send(upload(site, 900_000) + b" " * 899_999)
        answers = [connection.read_response() for connection in (third, first, second)]
    assert time_is_left and 503 in [answer.status for answer in answers]
    refused = next(answer for answer in answers if answer.status == 503)
    assert refused.header("Retry-After")
    assert site.chat("x").status == 200


@pytest.mark.parametrize("head", ["one long header", "many headers", "a long target"])
def test_a_head_that_is_too_large_is_431(site, head):
    fields, target = [], "/v1/models"
    if head == "one long header":
        fields = [("X-Long", "x" * 20_000)]
    elif head == "many headers":
        fields = [(f"X-{number}", "x" * 50) for number in range(1000)]
    else:
        target = "/v1/models?" + "x" * 20_000
    with Connection(site.port) as connection:
        connection.send(request_bytes("GET", target, [*site.headers(), *fields]))
        response = connection.read_response()
    assert response.status in (414, 431) and response.json()["error"]["code"]


def test_connections_beyond_the_cap_are_turned_away_and_come_in_later(open_site):
    site = open_site(server={"max_connections": 8})
    site.key()
    crowd = [Connection(site.port) for _ in range(8)]
    for connection in crowd:
        connection.send(request_bytes("GET", "/healthz"))
        assert connection.read_response().status == 200
    refused = Connection(site.port)
    with refused:
        refused.send(request_bytes("GET", "/healthz"))
        received = refused.read_to_end()
    assert received == b"" or received.startswith(b"HTTP/1.1 503")
    for connection in crowd:
        connection.reset()
    eventually(lambda: came_in(site))


def came_in(site):
    try:
        return exchange(site.port, "GET", "/healthz").status == 200
    except (AssertionError, OSError):
        return False


# Slow clients


def closed_within(connection, seconds):
    """What the server sent before it closed, which it did in time."""
    began = time.monotonic()
    received = connection.read_to_end()
    assert time.monotonic() - began < seconds
    return received


@pytest.mark.parametrize("sent", [b"", b"GET /v1/models HT", b"GET /v1/models HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_a_head_that_does_not_come_ends_the_connection(site, sent):
    with Connection(site.port) as connection:
        connection.send(sent)
        received = closed_within(connection, 3)
        assert received == b"" or received.startswith(b"HTTP/1.1 408")


def test_a_head_that_comes_a_byte_at_a_time_for_ever_ends_the_connection(site):
    with Connection(site.port) as connection:
        began = time.monotonic()
        with pytest.raises(OSError):
            connection.send(*in_pieces(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 500, 1), pause=0.02)
        assert time.monotonic() - began < 6


def test_a_body_that_does_not_come_is_408(site):
    with Connection(site.port) as connection:
        connection.send(upload(site, 1000) + b"{")
        received = closed_within(connection, 3)
        assert received.startswith(b"HTTP/1.1 408")


def test_an_idle_connection_is_closed_without_a_word(site):
    with Connection(site.port) as connection:
        connection.send(request_bytes("GET", "/healthz"))
        assert connection.read_response().status == 200
        assert closed_within(connection, 3) == b""


def test_a_slow_answer_is_no_idle_connection(site):
    answer = sse_answer(chat.text_events(["a"] * 12))
    model = site.script(fresh("model"), type(answer)(answer.pieces, answer.ending, 0.1))
    assert site.chat("x", model, stream=True).body == b"".join(chat.text_events(["a"] * 12))


def test_a_client_that_does_not_read_its_answer_costs_the_upstream_nothing_more(site):
    model = site.script(fresh("model"), sse_answer([b": " + b"x" * 65_000 + b"\n\n"] * 800))
    with site.open_chat("x", model, stream=True):
        eventually(lambda: site.sent(model))
        assert site.sent(model)[0].client_left.wait(8)


# Framing


def raw(site, text, key=True):
    """What the server answers to these bytes until it closes; `KEY` stands for a key's header."""
    bearer = f"Authorization: {site.bearer()[1]}\r\n" if key else ""
    with Connection(site.port) as connection:
        connection.send(text.replace("KEY", bearer).encode("latin-1"))
        return connection.read_to_end()


FRAMING = {
    "length and chunks": "POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nKEYContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": "POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nKEYTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}",
    "two lengths that differ": "POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nKEYContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
    "two lengths in one": "POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nKEYContent-Length: 2, 3\r\n\r\n{}x",
    "a signed length": "POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nKEYContent-Length: +2\r\n\r\n{}",
    "a negative length": "POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nKEYContent-Length: -2\r\n\r\n{}",
    "a length in hexadecimal": "POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nKEYContent-Length: 0x2\r\n\r\n{}",
    "a length beyond all": "POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nKEYContent-Length: 99999999999999999999999\r\n\r\n{}",
    "an unknown coding": "POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nKEYTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding before chunked": "POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nKEYTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a broken chunk size": "POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nKEYTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a chunk that is longer than it says": "POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nKEYTransfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
    "a folded header": "GET /v1/models HTTP/1.1\r\nHost: x\r\nKEYX-A: 1\r\n 2\r\n\r\n",
    "a bare LF": "GET /v1/models HTTP/1.1\nHost: x\n\n",
    "a bare LF between headers": "GET /v1/models HTTP/1.1\r\nHost: x\nX-A: 1\r\n\r\n",
    "a bare CR in a value": "GET /v1/models HTTP/1.1\r\nHost: x\r\nKEYX-A: 1\r2\r\n\r\n",
    "a NUL in a value": "GET /v1/models HTTP/1.1\r\nHost: x\r\nKEYX-A: 1\0\r\n\r\n",
    "no Host": "GET /v1/models HTTP/1.1\r\nKEY\r\n",
    "two Hosts": "GET /v1/models HTTP/1.1\r\nHost: x\r\nHost: y\r\nKEY\r\n",
    "a space before the colon": "GET /v1/models HTTP/1.1\r\nHost: x\r\nKEYX-A : 1\r\n\r\n",
    "a space in the target": "GET /v1/ models HTTP/1.1\r\nHost: x\r\nKEY\r\n",
    "no version": "GET /v1/models\r\nHost: x\r\n\r\n",
    "another protocol": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "nonsense": "\x00\x01\x02\x03\r\n\r\n",
    "an absolute target": "GET http://evil.example/v1/models HTTP/1.1\r\nHost: x\r\nKEY\r\n",
    "a tunnel": "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\nKEY\r\n",
    "a fragment": "GET /v1/models#x HTTP/1.1\r\nHost: x\r\nKEY\r\n",
}


@pytest.mark.parametrize("kind", FRAMING)
def test_what_two_readers_could_read_differently_is_refused_and_the_connection_closed(site, kind):
    count = len(site.upstream.requests)
    received = raw(site, FRAMING[kind] + "GET /v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n" if kind != "TLS" else FRAMING[kind])
    assert received == b"" or received.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5")), received
    assert len(re.findall(rb"HTTP/1\.1 \d{3} ", received)) <= 1
    assert len(site.upstream.requests) == count


def test_refusals_of_malformed_requests_have_the_envelope_and_a_request_id(site):
    with Connection(site.port) as connection:
        connection.send(FRAMING["two Hosts"].replace("KEY", "").encode())
        error_of(connection.read_response(), 400, "malformed_request")


def test_the_same_length_twice_is_refused_or_understood_as_one(site):
    received = raw(site, "POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nKEYConnection: close\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}")
    assert received.startswith(b"HTTP/1.1 400")


def test_http_1_0_is_answered_and_closed(site):
    assert raw(site, "GET /healthz HTTP/1.0\r\n\r\n").partition(b"\r\n")[0].endswith(b"200 OK")


def test_the_host_header_decides_nothing(site):
    for host in ("evil.example", "127.0.0.1:1", "api.openai.com", "admin"):
        assert exchange(site.port, "GET", "/healthz", [], b"").status == 200
        with Connection(site.port) as connection:
            connection.send(request_bytes("GET", "/v1/activity", host=host))
            assert connection.read_response().status == 401


def test_the_client_cannot_choose_the_upstream(site):
    model, count = fresh("model"), len(site.upstream.requests)
    headers = [("X-Upstream", "http://127.0.0.1:9"), ("X-Provider", "other"), ("x-portkey-custom-host", "http://127.0.0.1:9")]
    extra = {"base_url": "http://127.0.0.1:9", "api_base": "http://127.0.0.1:9", "provider": "other"}
    assert site.chat("x", model, headers, **extra).status == 200
    assert len(site.upstream.requests) == count + 1


# Browsers


def test_a_preflight_of_an_allowed_origin_needs_no_key(site):
    headers = [("Origin", ORIGIN), ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "authorization, content-type, x-session-id")]
    response = exchange(site.port, "OPTIONS", CHAT, headers)
    assert response.status in (200, 204) and response.header("Access-Control-Allow-Origin") == ORIGIN
    assert "POST" in response.header("Access-Control-Allow-Methods") and "x-session-id" in response.header("Access-Control-Allow-Headers")


def test_answers_to_an_allowed_origin_may_be_read_with_their_headers(site):
    model = site.script(fresh("model"), json_answer({}, headers=[("Access-Control-Allow-Origin", "*")]))
    response = site.chat("x", model, [("Origin", ORIGIN)])
    assert [value for name, value in response.headers if name.lower() == "access-control-allow-origin"] == [ORIGIN]
    assert "x-turnpike-request-id" in response.header("Access-Control-Expose-Headers").lower()
    refused = site.call("GET", "/v1/unheard", headers=[("Origin", ORIGIN)])
    assert refused.header("Access-Control-Allow-Origin") == ORIGIN


def test_another_origin_is_allowed_nothing(site):
    headers = [("Origin", "https://evil.example"), ("Access-Control-Request-Method", "POST")]
    response = exchange(site.port, "OPTIONS", CHAT, headers)
    assert response.status >= 400 and response.header("Access-Control-Allow-Origin") is None
    assert site.chat("x", headers=[("Origin", "https://evil.example")]).header("Access-Control-Allow-Origin") is None


def test_options_without_an_origin_is_no_preflight(site):
    assert exchange(site.port, "OPTIONS", CHAT, []).status in (401, 404, 405)
    assert site.call("OPTIONS", CHAT).status in (404, 405)
