"""TLS on both sides of the program, private authorities, and proxies: only what the configuration says."""
import asyncio
import http.client
import socket
import ssl
from contextlib import suppress

import httpx
import pytest
from openai import OpenAI

from harness import chat
from harness.answers import error_answer, json_answer
from harness.certificates import Authority
from harness.client import Connection, exchange, request_bytes
from harness.gateway import Gateway
from harness.ports import free_port
from harness.site import CHAT, chat_body, error_of, fresh
from harness.upstream import ScriptedUpstream

BODY = b'{"model":"m","messages":[{"role":"user","content":"x"}]}'


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def tls_upstream(authority):
    with ScriptedUpstream(free_port(), tls=authority.server_context()) as server:
        yield server.on(CHAT, json_answer(chat.completion("Hello over TLS.")))


def ask(gateway, path=CHAT, body=BODY):
    """A request with a key of its own."""
    bearer = ("Authorization", f"Bearer {gateway.create_key(name=fresh('key'))}")
    return exchange(gateway.port, "POST", path, [bearer, ("Content-Type", "application/json")], body)


# The listener


@pytest.fixture
def tls_gateway(start_process, upstream, authority):
    certificate, key = authority.sign()
    upstream.on(CHAT, chat.chat_answer)
    tls = {"certificate": str(certificate), "key": str(key)}
    return start_process(Gateway, providers={"scripted": {"base_url": upstream.url}}, server={"tls": tls})


@pytest.mark.parametrize("stream", [False, True])
def test_an_sdk_that_trusts_the_authority_talks_to_a_tls_listener(tls_gateway, authority, stream):
    with httpx.Client(verify=authority.context) as http_client:
        client = OpenAI(base_url=tls_gateway.base_url, api_key=tls_gateway.create_key(), http_client=http_client, max_retries=0)
        said = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
        if stream:
            words = [chunk.choices[0].delta.content or "" for chunk in client.chat.completions.create(**said, stream=True)]
            assert "".join(words) == "Hello 世界."
        else:
            assert client.chat.completions.create(**said).choices[0].message.content == "Hello."


def test_who_speaks_plain_http_to_a_tls_listener_gets_nothing(tls_gateway):
    with Connection(tls_gateway.port) as connection:
        connection.send(request_bytes("GET", "/healthz"))
        assert b"200" not in connection.read_to_end()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_an_old_version_of_tls_is_refused(tls_gateway, authority):
    context = authority.context
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection(("127.0.0.1", tls_gateway.port), 5) as plain, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(plain, server_hostname="127.0.0.1")


def test_a_client_that_never_ends_its_handshake_costs_a_connection_only(start_process, upstream, authority):
    certificate, key = authority.sign("patient")
    tls = {"certificate": str(certificate), "key": str(key)}
    gateway = start_process(Gateway, providers={"scripted": {"base_url": upstream.url}}, server={"tls": tls, "head_timeout": "300ms"})
    with Connection(gateway.port) as silent:
        client = http.client.HTTPSConnection("127.0.0.1", gateway.port, context=authority.context, timeout=5)
        client.request("GET", "/healthz")
        assert client.getresponse().status == 200
        assert silent.read_to_end() == b""


# The upstream


def test_an_upstream_with_a_private_authority_is_trusted_by_configuration_only(start_process, tls_upstream, authority):
    trusting = start_process(Gateway, providers={"scripted": {"base_url": tls_upstream.url, "ca": str(authority.path)}})
    assert ask(trusting).json()["choices"][0]["message"]["content"] == "Hello over TLS."
    doubting = start_process(Gateway, providers={"scripted": {"base_url": tls_upstream.url}})
    error_of(ask(doubting), 502, "upstream_tls_failed")
    assert len(tls_upstream.requests) == 1, "a request went to an upstream that is not trusted"


def test_an_upstream_with_another_hosts_certificate_is_refused(start_process, authority):
    with ScriptedUpstream(free_port(), tls=authority.server_context(name="other", host="DNS:other.example")) as upstream:
        gateway = start_process(Gateway, providers={"scripted": {"base_url": upstream.url, "ca": str(authority.path)}})
        error_of(ask(gateway), 502, "upstream_tls_failed")
        assert upstream.requests == []


def test_a_key_is_not_sent_in_plain_to_what_should_be_tls(start_process, upstream, authority):
    address = upstream.url.replace("http://", "https://")
    provider = {"base_url": address, "api_key": "sk-canary", "ca": str(authority.path), "connect_timeout": "300ms"}
    gateway = start_process(Gateway, providers={"scripted": provider})
    error_of(ask(gateway), 504, "upstream_timeout")
    assert upstream.requests == []


def test_an_error_that_comes_before_the_body_has_ended_is_passed_on_at_once(start_process, authority):
    with EarlyUpstream(free_port(), authority.server_context(name="early"), error_answer(413).data) as upstream:
        gateway = start_process(Gateway, providers={"scripted": {"base_url": upstream.url, "ca": str(authority.path)}})
        bearer = ("Authorization", f"Bearer {gateway.create_key()}")
        head = [bearer, ("Content-Type", "audio/wav"), ("Transfer-Encoding", "chunked")]
        with Connection(gateway.port) as connection:
            connection.send(request_bytes("POST", "/v1/audio/transcriptions", head) + b"4\r\nsome\r\n")
            assert connection.read_response().status == 413


class EarlyUpstream(ScriptedUpstream):
    """Answers every request when the first part of its body has come, and nothing more comes."""

    def __init__(self, port, tls, answer):
        super().__init__(port, tls)
        self._early = answer

    async def _converse(self, connection):
        received = b""
        while not received.endswith(b"some\r\n"):
            received += await connection.read()
        with suppress(TimeoutError):
            # Who streams a body asks for more of it at once, and then waits.
            await asyncio.wait_for(connection.read(), 0.2)
        connection.write(self._early)
        await connection.read()


# Proxies


def test_a_configured_proxy_is_used(start_process, upstream):
    upstream.on(f"http://upstream.invalid{CHAT}", json_answer(chat.completion("Hello through a proxy.")))
    provider = {"base_url": "http://upstream.invalid/v1", "proxy": upstream.url.removesuffix("/v1")}
    gateway = start_process(Gateway, providers={"scripted": provider})
    assert ask(gateway).json()["choices"][0]["message"]["content"] == "Hello through a proxy."
    assert upstream.requests[0].first_line == f"POST http://upstream.invalid{CHAT} HTTP/1.1"


@pytest.mark.parametrize("tls", [False, True])
def test_a_proxy_of_the_environment_is_not_used(start_process, upstream, tls_upstream, authority, tls):
    upstream.on(CHAT, json_answer(chat.completion()))
    wrong = f"http://127.0.0.1:{free_port()}"
    names = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
    address = tls_upstream.url if tls else upstream.url
    provider = {"base_url": address, **({"ca": str(authority.path)} if tls else {})}
    gateway = start_process(Gateway, providers={"scripted": provider}, variables=dict.fromkeys(names, wrong))
    assert ask(gateway).status == 200
