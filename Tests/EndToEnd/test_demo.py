"""`turnpike demo`: what it prints works when it is pasted, and the second answer shows that the first was remembered."""
import os
import subprocess
import sys

import pytest

from harness import chat
from harness.answers import json_answer
from harness.client import exchange
from harness.gateway import Demo, binary, environment
from harness.ports import free_port
from harness.upstream import ScriptedUpstream
from harness.waiting import eventually
from test_official_sdk import smoke

OPENAI_KEY = "sk-openai-canary-of-the-demo"


class Welcome:
    """What a demo printed when it was ready."""

    def __init__(self, demo):
        self.text = eventually(lambda: demo.log, lambda log: "Ctrl-C" in log)

    def value(self, name):
        """The value behind a name such as `key`."""
        return next(line.split(name, 1)[1].split()[0] for line in self.text.splitlines() if line.strip().startswith(name))

    def block(self, start):
        """The lines from the one that begins with `start` to the next empty one, without their common indentation."""
        lines = self.text.splitlines()
        first = next(number for number, line in enumerate(lines) if line.strip().startswith(start))
        indent = len(lines[first]) - len(lines[first].lstrip())
        block = []
        for line in lines[first:]:
            if not line.strip():
                break
            block.append(line[indent:])
        return "\n".join(block)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    demo = Demo(tmp_path_factory.mktemp("demo"))
    yield demo
    assert demo.stop() == 0


@pytest.fixture(scope="module")
def welcome(demo):
    return Welcome(demo)


def paste(program, *arguments):
    """Runs a program as a user would from a terminal; returns what it printed."""
    done = subprocess.run([program, *arguments], env=environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_base_url_and_the_key_that_it_prints_are_the_ones_to_use(demo, welcome):
    assert welcome.value("base URL") == demo.base_url
    response = exchange(demo.port, "GET", "/v1/models", [("Authorization", f"Bearer {welcome.value('key')}")])
    assert [model["id"] for model in response.json()["data"]] == [welcome.value("model")]


def test_the_curl_line_works_as_it_is_printed_and_the_second_answer_remembers_the_first(welcome):
    first, second = (paste("/bin/sh", "-c", welcome.block("curl")) for _ in range(2))
    assert "My name is Ada." in first and "Before that" not in first
    assert "Before that you said “My name is Ada.”" in second


def test_the_python_snippet_works_as_it_is_printed_and_the_second_answer_remembers_the_first(welcome):
    answers = paste(sys.executable, "-c", welcome.block("from openai")).splitlines()
    assert len(answers) == 2
    assert "Before that" not in answers[0] and "PLUM" in answers[1]


def test_the_smoke_test_of_the_official_sdk_passes(demo, welcome):
    status, printed = smoke(demo.base_url, welcome.value("key"), welcome.value("model"))
    assert status == 0 and printed.count("ok  ") == 5, printed
    assert "header" in printed and "prompt tokens" in printed and "answer" in printed


def test_strangers_are_not_served(demo):
    assert exchange(demo.port, "GET", "/v1/models").status == 401
    assert exchange(demo.port, "GET", "/v1/models", [("Authorization", "Bearer sk-test")]).status == 401


def test_its_files_are_its_owners_alone(demo):
    directory = demo.log_path.parent
    assert (directory / "turnpike.db").exists() and (directory / "hash.key").stat().st_mode & 0o077 == 0


def test_a_second_start_remembers_and_its_new_key_opens_the_old_sessions(tmp_path):
    ask = lambda demo, text: exchange(
        demo.port, "POST", "/v1/chat/completions",
        [("Authorization", f"Bearer {Welcome(demo).value('key')}"), ("X-Session-ID", "s")],
        f'{{"model":"echo","messages":[{{"role":"user","content":"{text}"}}]}}'.encode())
    first = Demo(tmp_path)
    assert ask(first, "one").status == 200 and first.stop() == 0
    first.log_path.write_text("")
    second = Demo(tmp_path)
    try:
        assert "Before that you said “one”" in ask(second, "two").body.decode()
    finally:
        assert second.stop() == 0


def test_with_a_credential_in_the_environment_it_proxies_to_that_provider(tmp_path):
    with ScriptedUpstream(free_port()) as upstream:
        upstream.on("/v1/models", json_answer(chat.models("gpt-4o-mini"))).on("/v1/chat/completions", chat.chat_answer)
        demo = Demo(tmp_path, OPENAI_API_KEY=OPENAI_KEY, OPENAI_BASE_URL=upstream.url)
        try:
            welcome = Welcome(demo)
            status, printed = smoke(demo.base_url, welcome.value("key"), "gpt-4o-mini")
            assert status == 0 and printed.count("ok  ") == 5, printed
            assert {request.header("Authorization") for request in upstream.requests} == {f"Bearer {OPENAI_KEY}"}
            assert OPENAI_KEY not in demo.log
            assert OPENAI_KEY.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
        finally:
            assert demo.stop() == 0


def test_an_empty_credential_counts_as_none(tmp_path):
    demo = Demo(tmp_path, OPENAI_API_KEY="")
    try:
        assert Welcome(demo).value("model") == "echo"
    finally:
        assert demo.stop() == 0
    assert os.path.exists(tmp_path / "turnpike.db")


def test_a_second_demo_on_a_port_in_use_says_so_and_leaves_the_first_ones_key_alone(demo):
    key = Welcome(demo).value("key")
    second = subprocess.run(
        [binary(), "demo", "--port", str(demo.port), "--data", str(demo.log_path.parent)],
        capture_output=True, text=True, timeout=20, env=environment(), stdin=subprocess.DEVNULL,
    )
    assert second.returncode == 1 and f"127.0.0.1:{demo.port} is in use" in second.stderr, second
    assert exchange(demo.port, "GET", "/v1/models", [("Authorization", f"Bearer {key}")]).status == 200


def test_a_second_demo_on_a_folder_in_use_says_what_to_do_and_leaves_the_first_ones_key_alone(demo):
    key = Welcome(demo).value("key")
    second = subprocess.run(
        [binary(), "demo", "--port", str(free_port()), "--data", str(demo.log_path.parent)],
        capture_output=True, text=True, timeout=20, env=environment(), stdin=subprocess.DEVNULL,
    )
    assert second.returncode == 1, second
    assert f"process {demo.pid} is using it: end it, or choose another folder (--data)" in second.stderr, second
    assert exchange(demo.port, "GET", "/v1/models", [("Authorization", f"Bearer {key}")]).status == 200
