"""The scripted upstream and the raw client, tried on each other: what later tests trust."""
import gzip
import threading

import pytest

from harness import chat
from harness.answers import (
    Ending, body_answer, chunked_answer, empty_answer, error_answer, gzip_answer, json_answer, sse_answer,
)
from harness.client import Connection, exchange, request_bytes

PATH = "/v1/chat/completions"


def test_records_the_exact_request_bytes(upstream):
    sent = request_bytes("POST", f"{PATH}?a=%2F", [("x-ODD-case", " two  spaces")], '{"é":1}'.encode())
    upstream.on(PATH, json_answer({"ok": True}))
    with Connection(upstream.port) as connection:
        connection.send(*(sent[at : at + 1] for at in range(len(sent))), pause=0)
        assert connection.read_response().json() == {"ok": True}
    (request,) = upstream.requests
    assert request.raw == sent
    assert (request.method, request.target, request.json()) == ("POST", f"{PATH}?a=%2F", {"é": 1})


def test_decodes_a_chunked_request_and_keeps_its_raw_bytes(upstream):
    sent = request_bytes("POST", PATH, [("Transfer-Encoding", "chunked")]) + b"3\r\n{\"a\r\n4;x=y\r\n\":1}\r\n0\r\nT: 1\r\n\r\n"
    with Connection(upstream.port) as connection:
        connection.send(sent)
        assert connection.read_response().status == 404
    assert upstream.requests[0].raw == sent
    assert upstream.requests[0].json() == {"a": 1}


def test_invites_a_body_that_waits_for_100_continue(upstream):
    upstream.on(PATH, json_answer({"ok": True}))
    head, body = request_bytes("POST", PATH, [("Expect", "100-continue"), ("Content-Length", 2)]), b"{}"
    with Connection(upstream.port) as connection:
        connection.send(head)
        connection.read_until(b"100 Continue\r\n\r\n")
        connection.send(body)
        assert connection.read_response().status == 200


def test_uses_each_answer_once_and_the_last_one_again(upstream):
    upstream.on(PATH, error_answer(503), json_answer({"n": 2}))
    statuses = [exchange(upstream.port, "POST", PATH, body=b"{}").status for _ in range(3)]
    assert statuses == [503, 200, 200]


def test_keeps_a_connection_for_the_next_request_and_answers_pipelined_ones_in_order(upstream):
    upstream.on("/a", json_answer("a")).on("/b", json_answer("b"))
    with Connection(upstream.port) as connection:
        connection.send(request_bytes("GET", "/a") + request_bytes("GET", "/b"))
        assert [connection.read_response().json() for _ in range(2)] == ["a", "b"]
    assert {request.connection for request in upstream.requests} == {1}


@pytest.mark.parametrize("split", ["events", "joined", "bytes"])
@pytest.mark.parametrize("arrange", ["as it is", "whole", "byte by byte"])
def test_sends_the_same_stream_in_any_chunks_and_any_writes(upstream, split, arrange):
    if (split, arrange) == ("bytes", "byte by byte"):
        events = [b"data: [DONE]\n\n"]  # six writes for each byte: a short stream will do
    else:
        events = chat.text_events(usage=True)
    answer = sse_answer(events, split)
    answer = {"as it is": answer, "whole": answer.whole(), "byte by byte": answer.byte_by_byte()}[arrange]
    response = exchange(upstream.on(PATH, answer).port, "POST", PATH, body=b"{}")
    assert response.complete and response.raw == answer.data
    assert response.body == b"".join(events)


def test_events_arrive_before_the_stream_ends(upstream):
    answer = sse_answer(chat.text_events())
    first = len(answer.pieces[0] + answer.pieces[1])
    with Connection(upstream.on(PATH, answer.stalled_at(first)).port) as connection:
        connection.send(request_bytes("POST", PATH, body=b"{}"))
        assert connection.read_until(b'"role":"assistant"') == answer.data[:first]


def test_sends_gzip_bytes_as_they_are(upstream):
    upstream.on(PATH, gzip_answer(b'{"ok": true}'))
    response = exchange(upstream.port, "GET", PATH)
    assert response.header("content-encoding") == "gzip"
    assert gzip.decompress(response.body) == b'{"ok": true}'


def test_sends_204_without_a_body(upstream):
    response = exchange(upstream.on(PATH, empty_answer()).port, "DELETE", PATH)
    assert (response.status, response.body, response.complete) == (204, b"", True)


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_sends_an_error_with_its_headers(upstream, status):
    upstream.on(PATH, error_answer(status, headers=[("retry-after-ms", "5")]))
    response = exchange(upstream.port, "POST", PATH, body=b"{}")
    assert (response.status, response.header("Retry-After-Ms")) == (status, "5")
    assert response.json()["error"]["message"] == "scripted error"


def test_says_what_is_not_scripted(upstream):
    response = exchange(upstream.port, "GET", "/v1/unheard?of=1")
    assert response.status == 404
    assert "GET /v1/unheard?of=1" in response.json()["error"]["message"]


def test_cuts_a_response_at_every_byte(upstream):
    answer = body_answer(b"0123456789")
    for count in range(1, len(answer.data)):
        upstream.on(PATH, answer.cut_at(count))
        with Connection(upstream.port) as connection:
            connection.send(request_bytes("GET", PATH))
            assert connection.read_to_end() == answer.data[:count]


def test_a_cut_stream_is_seen_as_incomplete(upstream):
    answer = sse_answer(chat.text_events())
    response = exchange(upstream.on(PATH, answer.cut_at(len(answer.data) - 3)).port, "POST", PATH, body=b"{}")
    assert not response.complete


def test_resets_a_connection(upstream):
    upstream.on(PATH, body_answer(b"0123456789").cut_at(60, Ending.RESET))
    with Connection(upstream.port) as connection:
        connection.send(request_bytes("GET", PATH))
        connection.read_to_end()
        with pytest.raises(OSError):
            connection.send(b"x", b"x", pause=0.01)


def test_notices_that_the_client_left_a_stalled_answer(upstream):
    upstream.on(PATH, sse_answer(chat.text_events()).stalled_at(150))
    with Connection(upstream.port) as connection:
        connection.send(request_bytes("POST", PATH, body=b"{}"))
        connection.read_until(b"\r\n\r\n")
        (request,) = upstream.wait_for_requests(1)
        assert not request.client_left.is_set()
        connection.reset()
    assert request.client_left.wait(5)


def test_a_client_that_stays_is_never_reported_as_gone(upstream):
    upstream.on(PATH, chunked_answer([b"x"] * 20))
    with Connection(upstream.port) as connection:
        for _ in range(2):
            connection.send(request_bytes("GET", PATH))
            connection.read_response()
        assert not any(request.client_left.is_set() for request in upstream.requests)


def test_serves_many_clients_at_once(upstream):
    upstream.on(PATH, sse_answer(chat.text_events()))
    responses = []
    call = lambda: responses.append(exchange(upstream.port, "POST", PATH, body=b"{}"))
    threads = [threading.Thread(target=call) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(responses) == 20 and all(response.complete for response in responses)
    assert len(upstream.requests) == 20
