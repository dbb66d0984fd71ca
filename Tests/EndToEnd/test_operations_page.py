"""What docs/operations.md tells operators to do, done."""
import json
import os
import re
import shlex
import signal
import subprocess

import pytest

from harness.client import exchange
from harness.gateway import binary, run
from harness.pages import DOCS, blocks, done
from harness.waiting import eventually

DATABASES = "both"
PAGE = "operations.md"


@pytest.fixture(scope="module")
def site(open_site):
    site = open_site(log={"level": "info", "format": "text"})
    site.key()
    return site


def in_shell(site, block):
    """What a block prints, for the configuration and the administration listener of the site."""
    return done(block, site.directory, CONFIG=str(site.gateway.config_path), ADMIN=f"http://127.0.0.1:{site.gateway.admin_port}")


def test_the_commands_of_the_page_work(site):
    output = "".join(in_shell(site, block) for block in blocks(PAGE, "sh"))
    assert all(word in output for word in ("turnpike_info{", "app-2", "revoked", "replaced", '"hash_key":"default"', "The tables are up to date.", "counted anew"))


def keys(site):
    """The live keys, and under which hash key each is stored."""
    listed = json.loads(run("keys", "list", "--config", site.gateway.config_path, "--json"))
    return {row["name"]: row["hash_key"] for row in listed if row["state"] == "live" and row["user"] == "alice"}


def test_the_hash_key_is_rotated_as_the_page_says_while_clients_talk(site):
    in_shell(site, next(block for block in blocks(PAGE, "sh") if "hash-2027" in block))
    before, after = (block.replace("data/hash-2027.key", str(site.directory / "data/hash-2027.key")).replace("data/hash.key", str(site.directory / "hash.key")) for block in blocks(PAGE, "yaml")[:2])
    path = site.gateway.config_path
    configuration = json.loads(path.read_text())
    del configuration["auth"]
    assert site.chat("x").status == 200

    def reload_with(auth):
        path.write_text(auth + "\n".join(f"{name}: {json.dumps(value)}" for name, value in configuration.items()))
        os.kill(site.gateway.pid, signal.SIGHUP)

    reload_with(before)
    eventually(lambda: "The configuration was reloaded." in site.gateway.log, timeout=10)
    assert site.chat("x").status == 200 and keys(site)["laptop"] == "default"
    reload_with(after)
    # The next use that finds the new configuration stores the key anew; every use is let in.
    eventually(lambda: site.chat("x").status == 200 and keys(site)["laptop"] == "2027", timeout=20)
    assert site.chat("x").status == 200 and "cannot be used" not in site.gateway.log


def test_the_unit_starts_what_there_is(site):
    (unit,) = blocks(PAGE, "ini")
    settings = dict(line.split("=", 1) for line in unit.splitlines() if "=" in line)
    for key in ("ExecStartPre", "ExecStart"):
        program, command, *options = shlex.split(settings[key])
        assert program == "/usr/local/bin/turnpike" and options[0] == "--config" and options[1].startswith("/etc/turnpike/")
        assert subprocess.run([binary(), command, "--help"], capture_output=True, timeout=30).returncode == 0
    assert int(settings["TimeoutStopSec"]) > 30, "server.drain_timeout, and what closing takes"


def test_a_command_is_started_as_the_service_is():
    (unit,) = blocks(PAGE, "ini")
    (command,) = re.findall(r"^systemd-run (.*?)\n```", (DOCS / PAGE).read_text(), re.M | re.S)
    words = shlex.split(command.replace("\\\n", " "))
    properties = {word for word, before in zip(words[1:], words) if before == "-p"}
    assert len(properties) == words.count("-p") and properties <= set(unit.splitlines())
    # What decides whose files they are, and where.
    own = ("DynamicUser=", "User=", "StateDirectory", "WorkingDirectory=", "EnvironmentFile=")
    assert properties == {line for line in unit.splitlines() if line.startswith(own)}
    program = words.index("/usr/local/bin/turnpike")
    assert words[program + 1 :] == ["keys", "list", "--config", "/etc/turnpike/turnpike.yaml"]


def test_the_page_names_no_metric_and_no_log_line_that_there_is_not(site):
    text = (DOCS / PAGE).read_text()
    metrics = exchange(site.gateway.admin_port, "GET", "/metrics").body.decode()
    names = set(re.findall(r"\b(?:turnpike|process)_[a-z_]+\b", text)) - {"turnpike_info|database_up"}
    names = {name for name in names if not name.endswith("_")}
    # What has no value yet has no series.
    assert len(names) > 12 and not [name for name in names if f"# TYPE {name} " not in metrics], names
    sources = "".join(path.read_text() for folder in ("Sources", "plugins") for path in (DOCS.parent / folder).rglob("*.swift"))
    lines = re.findall(r"`([A-Z][^`]+\.)`", text)
    assert len(lines) > 8
    for line in lines:
        assert f'"{line}"' in sources, line
