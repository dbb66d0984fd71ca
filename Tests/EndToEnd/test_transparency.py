"""Without a session, what goes in comes out: bodies to the byte, headers less those that belong to one connection."""
import gzip
import json

import pytest

from harness import chat
from harness.answers import (
    Ending, body_answer, chunked_answer, empty_answer, error_answer, gzip_answer, head, in_pieces, json_answer, sse_answer,
    sse_event, Answer,
)
from harness.client import Connection, request_bytes
from harness.site import CHAT, PROVIDER_KEY, fresh

# What Turnpike and the framing may add to an answer.
ADDED = {"x-turnpike-request-id", "connection", "date", "transfer-encoding", "content-length", "keep-alive"}
ODD_BODIES = {
    "spaces and line breaks": '  {\r\n\t"model" : "%s" ,\n "messages":[ {"role":"user", "content":"x"} ] }\n\n',
    "escapes as they were written": '{"model":"%s","messages":[{"role":"user","content":"\\u0041\\/\\ud83d\\ude00\\u2028"}]}',
    "raw UTF-8": '{"model":"%s","messages":[{"role":"user","content":"世界 😀 \u2028 \u00e9 e\u0301"}]}',
    "big and odd numbers": '{"model":"%s","seed":123456789012345678901234567890,"t":1e-0300,"u":-0.0,"v":1E+2,"messages":[]}',
    "unknown fields in odd order": '{"zzz":{"b":1,"a":[null,true,{}]},"messages":[{"x":1,"role":"user","y":{},"content":"x"}],'
    '"top_k":40,"model":"%s"}',
    "a repeated unknown key": '{"model":"%s","a":1,"a":2,"messages":[{"role":"user","content":"x"}]}',
    "content of every kind": '{"model":"%s","messages":[{"role":"assistant","content":null,"tool_calls":[]},'
    '{"role":"user","content":[{"type":"text","text":""},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]}]}',
    "an empty key": '{"model":"%s","":"","messages":[{"role":"user","content":""}]}',
}


@pytest.fixture(scope="module")
def site(open_site):
    return open_site()


def post(site, body, headers=(), target=CHAT):
    return site.call("POST", target, body, headers)


def simple(model):
    return json.dumps({"model": model, "messages": [{"role": "user", "content": "x"}]}).encode()


def passed_on(headers, also=()):
    """The headers that must arrive as they were sent."""
    dropped = {"connection", "host", "authorization", "content-length", "transfer-encoding", "date", *also}
    return [(name, value) for name, value in headers if name.lower() not in dropped]


# Requests


@pytest.mark.parametrize("kind", ODD_BODIES)
def test_a_request_body_arrives_byte_for_byte(site, kind):
    model = fresh("model")
    body = (ODD_BODIES[kind] % model).encode()
    assert post(site, body).status == 200
    assert site.sent(model)[0].body == body


def test_a_request_body_sent_byte_by_byte_arrives_as_it_is(site):
    model = fresh("model")
    body = simple(model)
    message = request_bytes("POST", CHAT, site.headers(body=body), body)
    with Connection(site.port) as connection:
        connection.send(*in_pieces(message, 1), pause=0)
        assert connection.read_response().status == 200
    assert site.sent(model)[0].body == body


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_chunked_request_body_arrives_byte_for_byte(site, size):
    model = fresh("model")
    body = simple(model)
    encoded = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in in_pieces(body, size)) + b"0\r\n\r\n"
    with Connection(site.port) as connection:
        connection.send(request_bytes("POST", CHAT, [*site.headers(body=body), ("Transfer-Encoding", "chunked")]), encoded)
        assert connection.read_response().status == 200
    assert site.sent(model)[0].body == body


def test_an_8_mb_request_arrives_byte_for_byte(site):
    model = fresh("model")
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "0123456789abcdef" * (1 << 19)}]}).encode()
    assert len(body) > 8 << 20
    assert site.call("POST", CHAT, body, timeout=30).status == 200
    assert site.sent(model)[0].body == body


def test_request_headers_pass_in_their_order_and_case_but_for_the_deny_list(site):
    model = fresh("model")
    kept = [
        ("Accept", "*/*"), ("X-Stainless-OS", "Linux"), ("x-stainless-retry-count", "0"), ("User-Agent", "OpenAI/Go 3"),
        ("accept-ENCODING", "gzip, deflate, br"), ("OpenAI-Beta", "assistants=v2"), ("X-Many", "1"), ("X-Many", "2"),
        ("x-empty", ""), ("traceparent", "00-1-2-01"), ("x-utf8", "caf\u00c3\u00a9"),
        ("X-Request-Id", "the-client's"),
    ]
    denied = [
        ("Cookie", "canary=1"), ("Proxy-Authorization", "Basic canary"), ("X-Forwarded-For", "canary"),
        ("X-Forwarded-Host", "canary"), ("Forwarded", "for=canary"), ("Via", "1.1 canary"), ("X-Real-IP", "canary"),
        ("X-Api-Key", "canary"), ("Api-Key", "canary"), ("X-Turnpike-Canary", "canary"), ("TE", "trailers"),
        ("OpenAI-Organization", "canary"), ("OpenAI-Project", "canary"), ("Keep-Alive", "timeout=5"),
        ("Idempotency-Key", "canary"), ("Referer", "http://canary"), ("X-Goog-Api-Key", "canary"), ("X-Auth-Token", "canary"),
        ("Ocp-Apim-Subscription-Key", "canary"), ("Helicone-Auth", "canary"), ("X-Portkey-Custom-Host", "http://canary"),
        ("X-Named-By-Connection", "canary"), ("Connection", "keep-alive, X-Named-By-Connection"),
    ]
    assert post(site, simple(model), [*kept, *denied]).status == 200
    (request,) = site.sent(model)
    sent = [*site.headers(body=b"x"), *kept]
    assert passed_on(request.headers) == passed_on(sent)
    assert b"canary" not in request.raw.replace(PROVIDER_KEY.encode(), b"")


# In harness.wire a header's text is its bytes in Latin-1, so these are the bytes E9 alone, a broken sequence, and a character
# of the last private plane.
NOT_UTF8 = [("X-Title", "Caf\u00e9 no. 1"), ("X-Broken", "\u00c3("), ("X-Private", "\u00f4\u008f\u00bf\u00a9")]


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_request_headers_that_are_not_utf8_arrive_as_they_are(site, size):
    model = fresh("model")
    body = simple(model)
    message = request_bytes("POST", CHAT, [*site.headers(body=body), *NOT_UTF8], body)
    with Connection(site.port) as connection:
        for _ in range(2):
            connection.send(*in_pieces(message, size), pause=0)
            assert connection.read_response().status == 200
    for request in site.sent(model):
        assert [(name, value) for name, value in request.headers if name in dict(NOT_UTF8)] == NOT_UTF8
        assert request.body == body


def test_answer_headers_that_are_not_utf8_come_back_as_they_are(site):
    model = site.script(fresh("model"), body_answer(b'{"id":"x"}', headers=NOT_UTF8))
    response = post(site, simple(model))
    assert [(name, value) for name, value in response.headers if name in dict(NOT_UTF8)] == NOT_UTF8


def test_the_upstream_gets_the_providers_key_and_host_and_never_the_clients(site):
    model = fresh("model")
    post(site, simple(model))
    (request,) = site.sent(model)
    assert [value for name, value in request.headers if name.lower() == "authorization"] == [f"Bearer {PROVIDER_KEY}"]
    assert request.header("Host") == f"127.0.0.1:{site.upstream.port}"
    assert site.key().encode() not in request.raw


@pytest.mark.parametrize("path", ["/v1/models/org%2Fname", "/v1/models/a%20b%C3%A9%3F", "/v1/models/m:8b@x!$&'()*+,;=~"])
def test_a_percent_encoded_path_arrives_as_it_was_sent(site, path):
    site.upstream.on(path, json_answer({"id": "x", "object": "model", "created": 1, "owned_by": "u"}))
    assert site.call("GET", path).status == 200
    assert site.upstream.requests[-1].target == path


@pytest.mark.parametrize("query", ["?q=a+b%26c", "?a=1&a=2&&=&b", "?%F0%9F%98%80=%00", "?", "?limit=2&order=desc#"[:-1]])
def test_a_query_arrives_as_it_was_sent(site, query):
    site.upstream.on("/v1/models", json_answer(chat.models("m")))
    assert site.call("GET", f"/v1/models{query}").status == 200
    assert site.upstream.requests[-1].target == f"/v1/models{query}"


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/embeddings", "/v1/moderations", "/v1/images/generations"])
def test_the_other_json_endpoints_pass_byte_for_byte(site, path):
    body, answer = b'{ "model": "m", "input": "\\u00e9", "n": 1.0 }', body_answer(b'{ "object" : "list" , "data": [1e2] }')
    site.upstream.on(path, answer)
    response = post(site, body, target=path)
    assert response.body == b'{ "object" : "list" , "data": [1e2] }'
    assert site.upstream.requests[-1].body == body


def test_an_upload_of_bytes_that_no_plugin_reads_passes_both_ways(site):
    form = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + bytes(range(256)) * 4000 + b"\r\n--b--\r\n"
    sound = bytes(reversed(range(256))) * 4000
    site.upstream.on("/v1/audio/transcriptions", body_answer(sound, content_type="audio/mpeg"))
    response = site.call("POST", "/v1/audio/transcriptions", form, [("X-Form", "1")])
    assert response.status == 200 and response.body == sound
    assert site.upstream.requests[-1].body == form


# Answers


ANSWERS = {
    "JSON with odd spacing": body_answer(b'{ "id":\t"x",\r\n"choices":[],"big":12345678901234567890123 }\n'),
    "chunked JSON": chunked_answer([b'{"id"', b":", b'"x"}'], content_type="application/json"),
    "an empty 204": empty_answer(204),
    "an empty 200": body_answer(b""),
    "a text": body_answer("plain 世界".encode(), content_type="text/plain; charset=utf-8"),
    "gzip": gzip_answer(b'{"id": "x"}'),
    "a body that ends with the connection": Answer((head(200, [("Content-Type", "application/json")]), b'{"id":1}'), Ending.CLOSE),
    "an HTML error of something in between": body_answer(b"<html>502</html>", 502, "text/html"),
}


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("arrange", ["as it is", "whole", "byte by byte"])
def test_an_answer_comes_back_byte_for_byte(site, kind, arrange):
    answer = ANSWERS[kind]
    direct = b"".join(answer.pieces[1:])
    answer = {"as it is": answer, "whole": answer.whole(), "byte by byte": answer.byte_by_byte()}[arrange]
    model = site.script(fresh("model"), answer)
    response = post(site, simple(model))
    assert response.complete
    if "chunked" in kind:
        direct = b'{"id":"x"}'
    assert (response.status, response.body) == (int(answer.data.split(b" ")[1]), direct)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 429, 500, 502, 503, 529])
def test_an_upstreams_error_passes_with_its_status_body_and_headers(site, status):
    headers = [("retry-after-ms", "5"), ("Retry-After", "1"), ("x-ratelimit-remaining-tokens", "0"), ("x-should-retry", "false")]
    answer = error_answer(status, "the upstream's own words", headers)
    model = site.script(fresh("model"), answer)
    response = post(site, simple(model))
    assert (response.status, response.body) == (status, answer.pieces[1])
    assert [response.header(name) for name, _ in headers] == [value for _, value in headers]


def test_an_error_body_that_is_not_openais_envelope_is_not_rewritten(site):
    for body in (b'{"detail":"llama.cpp"}', b"not JSON at all", b'{"error":"a text"}'):
        model = site.script(fresh("model"), body_answer(body, 500))
        assert post(site, simple(model)).body == body


@pytest.mark.parametrize("split", ["events", "joined", "bytes"])
@pytest.mark.parametrize("arrange", ["as it is", "whole", "byte by byte"])
def test_a_stream_comes_back_byte_for_byte_in_any_chunks(site, split, arrange):
    events = chat.text_events(["Hel", "世"], usage=True)
    if (split, arrange) == ("bytes", "byte by byte"):
        events = [sse_event({"choices": [{"index": 0, "delta": {"content": "é"}}]}), sse_event("[DONE]")]
    answer = sse_answer(events, split)
    answer = {"as it is": answer, "whole": answer.whole(), "byte by byte": answer.byte_by_byte()}[arrange]
    model = site.script(fresh("model"), answer)
    response = post(site, simple(model))
    assert response.complete and response.body == b"".join(events)
    assert response.header("Content-Type") == "text/event-stream"


ODD_STREAMS = {
    "CRLF": b'data: {"choices":[]}\r\n\r\ndata: [DONE]\r\n\r\n',
    "CR alone": b'data: {"choices":[]}\r\rdata: [DONE]\r\r',
    "comments and keep-alives": b': OPENROUTER PROCESSING\n\n:\n\ndata: {"choices":[]}\n\n: x\n\ndata: [DONE]\n\n',
    "data of several lines": b'data: {"choices":\ndata: []}\n\ndata: [DONE]\n\n',
    "names, ids and retry": b'event: chunk\nid: 7\nretry: 10\ndata:{"choices":[]}\n\ndata:[DONE]\n\n',
    "a byte order mark": b'\xef\xbb\xbfdata: {"choices":[]}\n\ndata: [DONE]\n\n',
    "no [DONE]": b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    "no empty line at the end": b'data: {"choices":[]}\n\ndata: [DONE]',
    "no JSON": b"data: hello\n\ndata: \xff\xfe\n\n\n\n",
}


@pytest.mark.parametrize("kind", ODD_STREAMS)
def test_an_odd_stream_comes_back_byte_for_byte(site, kind):
    stream = ODD_STREAMS[kind]
    for chunks in ([stream], in_pieces(stream, 1)):
        model = site.script(fresh("model"), chunked_answer(chunks))
        response = post(site, simple(model))
        assert response.complete and response.body == stream


def test_events_arrive_before_the_stream_ends(site):
    answer = sse_answer(chat.text_events())
    model = site.script(fresh("model"), answer.stalled_at(len(answer.pieces[0] + answer.pieces[1] + answer.pieces[2])))
    with site.open_chat("x", model, stream=True) as connection:
        assert b'"content":"Hel"' in connection.read_until(b'"content":"Hel"')


def test_gzip_passes_untouched_where_no_body_is_read(site):
    stream = b"".join(chat.text_events())
    model = site.script(fresh("model"), gzip_answer(stream, "text/event-stream"))
    response = post(site, simple(model), [("Accept-Encoding", "gzip")])
    assert response.header("Content-Encoding") == "gzip"
    assert response.body == gzip.compress(stream, mtime=0)
    assert site.sent(model)[0].header("Accept-Encoding") == "gzip"


def test_an_8_mb_answer_comes_back_byte_for_byte(site):
    body = json.dumps({"choices": [], "x": "0123456789abcdef" * (1 << 19)}).encode()
    for answer in (body_answer(body), chunked_answer(in_pieces(body, 1 << 20), "application/json")):
        model = site.script(fresh("model"), answer)
        response = site.call("POST", CHAT, simple(model), timeout=30)
        assert response.complete and response.body == body


def test_answer_headers_pass_in_their_order_and_case_but_for_the_deny_list(site):
    kept = [
        ("Content-Type", "application/json"), ("x-request-id", "req_of_the_upstream"), ("OpenAI-Processing-Ms", "12"),
        ("x-ratelimit-limit-requests", "10"), ("X-Many", "1"), ("X-Many", "2"), ("Cache-Control", "no-store"),
        ("x-EMPTY", ""), ("Access-Control-Expose-Headers", "X-Request-ID"), ("cf-ray", "8a"), ("Server", "scripted"),
    ]
    denied = [
        ("Set-Cookie", "canary=1; Domain=upstream"), ("Set-Cookie", "__cf_bm=canary"), ("Alt-Svc", 'h3=":443"; canary'),
        ("Strict-Transport-Security", "max-age=1; canary"), ("Connection", "X-Named-By-Connection"),
        ("X-Named-By-Connection", "canary"), ("X-Turnpike-Request-Id", "canary"), ("X-Turnpike-History", "canary"),
        ("Proxy-Authenticate", "canary"), ("Keep-Alive", "canary"), ("Trailer", "canary"),
    ]
    answer = Answer((head(200, [*kept, *denied, ("Content-Length", 2)]), b"{}"))
    model = site.script(fresh("model"), answer)
    response = post(site, simple(model))
    assert passed_on(response.headers, ADDED) == passed_on(kept)
    assert b"canary" not in response.raw
    assert response.header("x-request-id") == "req_of_the_upstream"


def test_every_answer_has_a_request_id_of_its_own(site):
    model = fresh("model")
    ids = {post(site, simple(model)).header("x-turnpike-request-id") for _ in range(3)}
    assert len(ids) == 3 and None not in ids


def test_head_is_answered_without_a_body(site):
    site.upstream.on("/v1/models", Answer(json_answer(chat.models("m")).pieces[:1]))
    with Connection(site.port) as connection:
        for _ in range(2):
            connection.send(request_bytes("HEAD", "/v1/models", site.headers()))
            response = connection.read_response(to="HEAD")
            assert (response.status, response.body) == (200, b"")


def test_a_model_may_have_another_name_at_the_provider_and_nothing_else_changes(open_site):
    site = open_site(models={"fast": {"provider": "scripted", "model": "org/real"}, "*": {"provider": "scripted"}})
    body = b'{ "messages" : [], "model" :  "fast" , "model_x":"fast","seed":123456789012345678901234567890}'
    assert post(site, body).status == 200
    assert site.sent("org/real")[0].body == body.replace(b'"fast" ,', b'"org/real" ,')
