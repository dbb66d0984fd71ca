"""A changed configuration takes effect while clients are served; a bad one leaves the old one running and says why."""
import json
import os
import signal

import pytest

from harness import chat
from harness.answers import sse_answer
from harness.site import Site, error_of, fresh
from harness.waiting import eventually


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path, models={"*": {"provider": "scripted"}}) as site:
        # While the file is broken, no command can make a key.
        site.key()
        yield site


def rewrite(site, change, hang_up=True):
    """Changes the configuration file and asks for it to be read again."""
    path = site.gateway.config_path
    configuration = json.loads(path.read_text())
    change(configuration)
    path.write_text(json.dumps(configuration, indent=2))
    if hang_up:
        os.kill(site.gateway.pid, signal.SIGHUP)


@pytest.mark.parametrize("hang_up", [True, False], ids=["on SIGHUP", "when the file changes"])
def test_new_models_take_effect_without_a_restart(site, hang_up):
    assert site.chat("x", "gone").status == 200
    rewrite(site, lambda new: new.update(models={"only": {"provider": "scripted"}}), hang_up)
    eventually(lambda: site.chat("x", "gone").status == 404, timeout=5)
    error_of(site.chat("x", "gone"), 404, "model_not_found")
    assert site.chat("x", "only").status == 200


def test_flags_take_effect_without_a_restart_and_sessions_go_on(site):
    conversation = site.conversation()
    conversation.say("one")
    # As long as nothing has changed, a question is one more message of the session.
    whole = {"history": {"max_history_messages": 10_000}}
    rewrite(site, lambda new: new.update(flags={"history": False}, plugins=whole))
    eventually(lambda: conversation.say("x") and len(conversation.seen) == 1)
    rewrite(site, lambda new: new.update(flags={"history": True}, plugins=whole))
    eventually(lambda: conversation.say("y") and conversation.texts[0] == "one")


@pytest.mark.parametrize("broken", ["a misspelt key", "no YAML", "nothing", "a missing file"])
def test_a_bad_file_leaves_the_old_configuration_running_and_says_why(site, broken):
    path = site.gateway.config_path
    before = len(site.gateway.log)
    if broken == "a missing file":
        path.unlink()
    else:
        path.write_text({"a misspelt key": path.read_text().replace('"models"', '"modles"'), "no YAML": "{[", "nothing": ""}[broken])
    os.kill(site.gateway.pid, signal.SIGHUP)
    eventually(lambda: path.name in site.gateway.log[before:])
    assert site.chat("x").status == 200
    if broken == "a misspelt key":
        eventually(lambda: "modles" in site.gateway.log[before:])


@pytest.mark.parametrize("mistake", ["too short", "a directory", "missing"])
def test_a_hash_key_that_cannot_be_used_leaves_the_old_one_in_use_and_says_why(site, mistake):
    path = site.gateway.directory / "hash.key"
    former = path.read_text()
    path.unlink()
    {"too short": lambda: path.write_text("short"), "a directory": path.mkdir, "missing": lambda: None}[mistake]()
    before = len(site.gateway.log)
    os.kill(site.gateway.pid, signal.SIGHUP)
    eventually(lambda: "The configuration cannot be used" in site.gateway.log[before:])
    assert str(path) in site.gateway.log[before:]
    assert site.chat("x").status == 200
    assert path.exists() == (mistake != "missing"), "a reload makes no hash key: all keys are stored under the former one"
    {"too short": path.unlink, "a directory": path.rmdir, "missing": lambda: None}[mistake]()
    path.write_text(former)
    os.kill(site.gateway.pid, signal.SIGHUP)
    eventually(lambda: "The configuration was reloaded" in site.gateway.log[before:])
    assert site.chat("x").status == 200


def test_a_stream_that_runs_during_a_reload_ends_in_the_world_it_began_in(site):
    model = site.script(fresh("model"), sse_answer(chat.text_events(["a"] * 150)))
    with site.open_chat("x", model, [("X-Session-ID", "s")], stream=True) as connection:
        connection.read_until(b'"content":"a"')
        rewrite(site, lambda new: new.update(models={"only": {"provider": "scripted"}}, flags={"capture": False}))
        response = connection.read_response()
        assert response.complete
    eventually(lambda: site.chat("x", "gone").status == 404)
    assert [message["content"] for message in site.stored("s")] == ["x", "a" * 150]
    # The old world's plugins have ended after it, not before.
    assert site.activity(response)["status"] == 200


def test_requests_during_many_reloads_are_all_answered(site):
    for number in range(10):
        rewrite(site, lambda new: new.update(plugins={"history": {"max_history_messages": 10 + number}}))
        assert all(site.chat("x").status == 200 for _ in range(5))
    assert site.gateway.stop() == 0


@pytest.mark.parametrize("key, value", [
    ("server", {"idle_timeout": "61s"}), ("database", {"url": "sqlite:elsewhere.db"}), ("spool", {"max_size": "65MB"}),
    ("session_cache", {"max_size": "33MB"}), ("log", {"level": "warning"}),
])
def test_what_only_a_restart_changes_is_named(site, key, value):
    def change(configuration):
        former = configuration.get(key)
        configuration[key] = value["url"] if key == "database" else {**(former or {}), **value}

    before = len(site.gateway.log)
    rewrite(site, change)
    eventually(lambda: "The configuration was reloaded" in site.gateway.log[before:])
    named = {line.rpartition("key=")[2] for line in site.gateway.log[before:].splitlines() if "needs a restart" in line}
    # Where the spool lies follows from the database.
    assert named == ({"database", "spool"} if key == "database" else {key})
    assert site.chat("x", "m").status == 200


def test_what_needs_a_restart_is_named_until_the_file_says_what_is_in_effect(site):
    def named_by(change):
        before = len(site.gateway.log)
        rewrite(site, change)
        eventually(lambda: "The configuration was reloaded" in site.gateway.log[before:])
        return site.gateway.log[before:].count("needs a restart")

    assert named_by(lambda new: new["server"].update(idle_timeout="61s")) == 1
    assert named_by(lambda new: new.update(plugins={"history": {"max_history_messages": 10}})) == 1
    assert named_by(lambda new: new["server"].pop("idle_timeout")) == 0
