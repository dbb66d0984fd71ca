"""The smoke test with the official Python SDK."""
import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from openai import APIError, AsyncOpenAI, AuthenticationError, BadRequestError, NotFoundError, OpenAI, RateLimitError

from harness import chat
from harness.answers import error_answer, json_answer, sse_answer

DATABASES = "both"

SMOKE = Path(__file__).parent / "openai_smoke.py"


def smoke(base_url, key, model, skip=""):
    """Runs openai_smoke.py; returns (exit status, what it printed)."""
    values = {"BASE_URL": base_url, "API_KEY": key, "MODEL": model, "SKIP": skip}
    done = subprocess.run(
        [sys.executable, SMOKE], env={**os.environ, **values}, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


def test_a_direct_call_to_the_scripted_upstream_passes(upstream):
    upstream.on("/v1/models", json_answer(chat.models("scripted-1"))).on("/v1/chat/completions", chat.chat_answer)
    status, printed = smoke(upstream.url, "sk-test", "scripted-1", skip="session")
    assert status == 0, printed
    assert printed.count("ok  ") == 4
    assert {request.header("Authorization") for request in upstream.requests} == {"Bearer sk-test"}


def test_a_direct_call_to_an_upstream_without_answers_fails(upstream):
    status, printed = smoke(upstream.url, "sk-test", "scripted-1", skip="session")
    assert status == 1 and printed.count("FAIL") == 4, printed


def test_through_the_gateway_every_check_passes_against_the_scripted_upstream(start_gateway, upstream):
    upstream.on("/v1/models", json_answer(chat.models("scripted-1"))).on("/v1/chat/completions", chat.chat_answer)
    gateway = start_gateway()
    status, printed = smoke(gateway.base_url, gateway.create_key(), "scripted-1")
    assert status == 0 and printed.count("ok  ") == 5, printed


def test_errors_are_the_exceptions_that_an_application_expects(start_gateway, upstream):
    gateway = start_gateway()
    client = OpenAI(base_url=gateway.base_url, api_key=gateway.create_key(), max_retries=0)
    ask = lambda client, **fields: client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}], **fields)
    with pytest.raises(AuthenticationError, match="key"):
        ask(client.with_options(api_key="sk-wrong"))
    with pytest.raises(NotFoundError) as missing:
        ask(client, extra_body={"session_id": "nobody"})
    assert missing.value.code == "session_not_found" and missing.value.response.headers["x-turnpike-request-id"]
    with pytest.raises(BadRequestError) as refused:
        ask(client, store=True)
    assert (refused.value.code, refused.value.param) == ("store_not_enabled", "store")
    upstream.on("/v1/chat/completions", error_answer(429))
    with pytest.raises(RateLimitError, match="scripted error"):
        ask(client)


def test_a_stream_that_breaks_off_raises_in_the_application(start_gateway, upstream):
    answer = sse_answer(chat.text_events())
    gateway = start_gateway()
    client = OpenAI(base_url=gateway.base_url, api_key=gateway.create_key(), max_retries=0)
    ask = lambda **fields: list(client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "x"}], stream=True, **fields))
    for count in (2, 3, 4):
        upstream.on("/v1/chat/completions", answer.cut_at(sum(map(len, answer.pieces[:count]))))
        for session in ({}, {"X-Session-ID": "s"}):
            with pytest.raises(APIError) as broken:
                ask(extra_headers=session)
            assert broken.value.code == "upstream_connection_failed"


def test_the_librarys_own_retry_does_not_double_a_turn(start_gateway, upstream):
    answer = json_answer(chat.completion())
    upstream.on("/v1/chat/completions", error_answer(500), answer, answer)
    gateway = start_gateway()
    client = OpenAI(base_url=gateway.base_url, api_key=gateway.create_key(), max_retries=2)
    for text in ("one", "two"):
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}], extra_headers={"X-Session-ID": "s"})
    assert len(upstream.requests) == 3
    assert [message["content"] for message in upstream.requests[-1].json()["messages"]] == ["one", "Hello.", "two"]


def test_the_asynchronous_client_holds_many_conversations_at_once(start_gateway, upstream):
    upstream.on("/v1/chat/completions", chat.chat_answer)
    gateway = start_gateway()

    async def hold(client, number):
        for text in ("one", "two", "three"):
            stream = await client.chat.completions.create(
                model=f"m{number}", messages=[{"role": "user", "content": text}], stream=True, extra_headers={"X-Session-ID": f"s{number}"})
            async for _ in stream:
                pass

    async def hold_all():
        async with AsyncOpenAI(base_url=gateway.base_url, api_key=gateway.create_key(), max_retries=0) as client:
            await asyncio.gather(*(hold(client, number) for number in range(20)))

    asyncio.run(hold_all())
    last = {request.json()["model"]: request.json()["messages"] for request in upstream.requests}
    assert len(last) == 20 and all(len(messages) == 5 for messages in last.values())
