"""The smoke test with the official Python SDK."""
import os
import subprocess
import sys
from pathlib import Path

from harness import chat
from harness.answers import json_answer

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
