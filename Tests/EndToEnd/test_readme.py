"""What the README tells a newcomer to do, done: but for the build, whose result is at hand."""
import re
import subprocess
import sys
from contextlib import contextmanager

import pytest

from harness.gateway import Process, binary, environment, run
from harness.pages import DOCS, blocks, done
from harness.ports import free_port
from harness.site import CHAT, reply

ROOT = DOCS.parent
README = (ROOT / "README.md").read_text()


def block(language, word):
    """The block of code in a language that has a word in it."""
    (found,) = [block for block in blocks("../README.md", language) if word in block]
    return found


@contextmanager
def running(commands, directory, port):
    """A gateway that a block of shell commands ends with; yields the key that they made."""
    (directory / "scripts").mkdir()
    (directory / "scripts/build").write_text(f"#!/bin/sh\necho '{binary()}'\n")
    (directory / "scripts/build").chmod(0o755)
    commands = commands.replace("sk-…", "sk-of-the-provider").replace("turnpike serve", "exec turnpike serve")
    gateway = Process(["bash", "-euo", "pipefail", "-c", commands], f"http://127.0.0.1:{port}/readyz", directory)
    try:
        yield re.search(r"^tp-\w+$", gateway.log, re.M)[0]
    finally:
        status = gateway.stop()
    assert status == 0, gateway.log


@pytest.fixture
def shipped(tmp_path, upstream):
    """A directory with the configuration that is shipped, but for its port and its provider's address; and the port."""
    upstream.on(CHAT, reply)
    text, port = (ROOT / "config/turnpike.yaml").read_text(), free_port()
    for old, new in (("port: 8080", f"port: {port}"), ("https://api.openai.com/v1", upstream.url)):
        assert text.count(f"\n  {old}") + text.count(f'base_url: "{old}') == 1
        text = text.replace(old, new, 1)
    (tmp_path / "config").mkdir()
    (tmp_path / "config/turnpike.yaml").write_text(text)
    return tmp_path, port


def test_a_newcomer_runs_it_for_real(shipped, upstream):
    directory, port = shipped
    here = lambda text: text.replace("127.0.0.1:8080", f"127.0.0.1:{port}")
    with running(block("sh", "turnpike serve"), directory, port) as key:
        snippet = here(block("python", "OpenAI")).replace("tp-…", key)
        assert subprocess.run([sys.executable, "-c", snippet], env=environment(), check=True, capture_output=True, text=True, timeout=60).stdout == "re: Hello\n"
        assert "re: And with milk?" in done(here(block("sh", "X-Session-ID")), directory, KEY=key)
    texts = [[message["content"] for message in request.json()["messages"]] for request in upstream.requests]
    assert texts == [["Hello"], ["Hello", "re: Hello", "And with milk?"]]
    assert {request.header("Authorization") for request in upstream.requests} == {"Bearer sk-of-the-provider"}
    assert {path.name for path in (directory / "data").iterdir()} >= {"turnpike.db", "hash.key"}


def test_a_newcomer_without_an_account_uses_a_service_of_their_own(shipped):
    directory, _ = shipped
    path = directory / "config/turnpike.yaml"
    kept, *_ = path.read_text().partition("\nproviders:")
    path.write_text(kept + "\n" + block("yaml", "11434"))
    assert done("turnpike check --config config/turnpike.yaml 2>&1 >/dev/null", directory) == ""


def test_every_command_of_the_table_exists():
    rows = re.findall(r"^\| `turnpike (.*?) \| ", README, re.M)
    names = []
    for row in rows:
        first, *others = re.findall(r"[a-z][a-z ]*[a-z]", row.replace("--config FILE", ""))
        group = first.split()[0]
        names += [first, *(other if other.startswith(group) else f"{group} {other}" for other in others)]
    assert {"serve", "keys create", "keys rotate", "users list", "spool export", "tokens count", "version"} <= set(names), names
    for name in names:
        assert f"USAGE: turnpike {name}" in run(*name.split(), "--help")


def test_every_page_that_is_linked_is_there():
    links = {link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link}
    assert len(links) > 12 and [link for link in links if not (ROOT / link).exists()] == []
    assert {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} <= links
