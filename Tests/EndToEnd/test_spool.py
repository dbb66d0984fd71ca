"""While the database takes no turns, they are kept in the spool, seen by the next request, and stored later, once."""
import contextlib
import json
import sqlite3
from pathlib import Path

import pytest

from harness.client import exchange
from harness.events import events_of, is_done
from harness.gateway import run
from harness.site import Site, error_of, said
from harness.sqlite_file import execute, locked
from harness.waiting import eventually

SPOOL = {"commit_deadline": "200ms"}


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path, spool=SPOOL) as site:
        site.key()
        yield site


def depth(site):
    """How many turns wait in the spool."""
    return exchange(site.port, "GET", "/readyz").json()["spool"]["turns"]


def drained(site):
    """Waits until no turn waits in the spool."""
    eventually(lambda: depth(site) == 0, timeout=30)


@pytest.mark.parametrize("stream", [False, True])
def test_turns_of_an_outage_are_answered_seen_and_stored_once_in_order(site, stream):
    conversation = site.conversation()
    conversation.say("one")
    with locked(site):
        for text in ["two", "three", "four"]:
            response = conversation.say(text, stream=stream)
            assert not stream or is_done(response.body)
        assert conversation.texts == ["one", "re: one", "two", "re: two", "three", "re: three", "four"]
        assert depth(site) == 3
    drained(site)
    assert conversation.stored_texts == [text for one in ["one", "two", "three", "four"] for text in (one, f"re: {one}")]
    conversation.say("five")
    assert conversation.texts[-3:] == ["four", "re: four", "five"] and len(conversation.texts) == 9


def test_a_process_that_is_killed_in_an_outage_stores_its_turns_after_its_restart(site):
    conversation = site.conversation()
    conversation.say("one")
    with locked(site):
        conversation.say("two")
        conversation.say("three")
        site.gateway.kill()
    site.start()
    drained(site)
    assert "The spool holds records of an earlier run." in site.gateway.log
    conversation.say("four")
    assert conversation.texts == ["one", "re: one", "two", "re: two", "three", "re: three", "four"]


def test_a_restart_in_the_outage_goes_on_with_what_is_spooled(site):
    conversation = site.conversation()
    conversation.say("one")
    with locked(site):
        conversation.say("two")
        site.gateway.kill()
        site.start(until="/healthz")
        conversation.say("three")
        assert conversation.texts == ["one", "re: one", "two", "re: two", "three"]
    drained(site)
    assert conversation.stored_texts[-2:] == ["three", "re: three"] and len(conversation.stored) == 6


def killed_with_a_refused_turn(site):
    """Three turns of two conversations wait in the spool of a gateway that was killed; the database will refuse the first."""
    conversation, other = site.conversation(), site.conversation()
    conversation.say("one")
    other.say("one")
    with locked(site):
        conversation.say("poison")
        conversation.say("two")
        other.say("two")
        site.gateway.kill()
    execute(site, "CREATE TRIGGER refuse BEFORE INSERT ON messages WHEN instr(CAST(NEW.body AS TEXT), 'poison') "
                  "BEGIN SELECT RAISE(ABORT, 'no'); END")
    return conversation, other


def test_a_turn_that_the_database_refuses_is_set_aside_and_blocks_nothing(site):
    conversation, other = killed_with_a_refused_turn(site)
    site.start()
    drained(site)
    assert conversation.stored_texts == ["one", "re: one", "two", "re: two"]
    assert other.stored_texts == ["one", "re: one", "two", "re: two"]
    ready = site.readiness().json()
    assert ready["spool"]["dead_letters"] == 1 and ready["problems"]["spool"]
    listing = json.loads(run("spool", "list", "--config", site.gateway.config_path, "--json"))
    assert [letter["reason"].startswith("data") for letter in listing["dead_letters"]] == [True]
    assert "poison" not in json.dumps(listing)


def test_without_room_in_the_spool_nothing_is_asked_of_the_upstream(tmp_path):
    # Three megabytes are read within the deadline on a busy machine too.
    with Site(tmp_path, spool={"commit_deadline": "3s", "max_size": "16MB", "reserve": "4MB"}) as site:
        site.key()
        conversation = site.conversation()
        conversation.say("one")
        big = "x" * (3 << 20)
        with locked(site):
            answers = [conversation.try_to_say(f"{number} {big}") for number in range(4)]
            refused = [answer for answer in answers if answer.status == 503]
            assert refused
            error_of(refused[0], 503, "spool_full")
            kept = len(answers) - len(refused)
            assert len(site.sent(conversation.model)) == 1 + kept
        drained(site)
        # A page of the API would be shorter: these messages are too large for one.
        with contextlib.closing(sqlite3.connect(site.directory / "turnpike.db")) as connection:
            assert connection.execute("SELECT COUNT(*) FROM messages").fetchone() == (2 + 2 * kept,)
        error_of(conversation.try_to_say("x" * (15 << 20)), 413, "turn_too_large")


def test_what_is_erased_is_gone_from_the_spool_too(site):
    conversation = site.conversation()
    conversation.say("one")
    with locked(site):
        conversation.say("a very special secret")
        site.gateway.kill()
    session = conversation.session
    execute(site, f"UPDATE sessions SET deleted_us = 1, external_id = NULL WHERE external_id = '{session}'")
    site.start()
    drained(site)
    assert not [path for path in (site.directory / "spool").glob("*.segment")]


def test_a_session_that_nobody_knows_is_refused_in_an_outage(site):
    site.conversation().say("one")
    with locked(site):
        response = site.conversation().try_to_say("new")
        error_of(response, 503)
        assert response.header("Retry-After")


def test_the_operator_lists_exports_and_replays_what_waits(site):
    conversation = site.conversation()
    conversation.say("one")
    config = site.gateway.config_path
    with locked(site):
        conversation.say("two")
        assert "1 turn" in run("spool", "list", "--config", config)
        with pytest.raises(AssertionError, match="is using it: it stores them by itself"):
            run("spool", "replay", "--config", config)
        site.gateway.kill()
        with pytest.raises(AssertionError, match="database"):
            run("spool", "replay", "--config", config)
    listing = json.loads(run("spool", "list", "--config", config, "--json"))
    assert len(listing["turns"]) == 1 and listing["turns"][0]["messages"] == 2
    exported = [json.loads(line) for line in run("spool", "export", "--config", config).splitlines()]
    assert exported[0]["messages"][0]["message"] == said("two")
    assert "1 turn" in run("spool", "replay", "--config", config)
    assert json.loads(run("spool", "list", "--config", config, "--json"))["turns"] == []
    site.start()
    assert conversation.stored_texts == ["one", "re: one", "two", "re: two"]


def test_before_the_first_start_nothing_waits(tmp_path):
    config = tmp_path / "turnpike.yaml"
    config.write_text(json.dumps({
        "database": f"sqlite:{tmp_path / 'turnpike.db'}", "auth": {"hash_key": f"file:{tmp_path / 'hash.key'}"},
        "providers": {"p": {"base_url": "http://127.0.0.1:9"}}, "models": {"*": {"provider": "p"}},
        "spool": {"directory": str(tmp_path / "spool")}}))
    listing = run("spool", "list", "--config", config)
    assert listing.startswith("0 turns wait") and f"no directory {tmp_path / 'spool'}" in listing
    assert json.loads(run("spool", "list", "--config", config, "--json"))["turns"] == []
    assert run("spool", "export", "--config", config) == ""
    assert run("spool", "replay", "--config", config) == listing.partition("\n")[2]
    assert json.loads(run("spool", "replay", "--config", config, "--json")) == {"stored": 0, "discarded": 0, "set_aside": 0}
    assert [path.name for path in tmp_path.iterdir()] == ["turnpike.yaml"]


def test_what_a_replay_did_is_told_to_programs(site):
    killed_with_a_refused_turn(site)
    told = run("spool", "replay", "--config", site.gateway.config_path, "--json")
    assert json.loads(told) == {"stored": 2, "discarded": 0, "set_aside": 1}
    site.start()


def test_the_commands_of_the_reliability_page_work(site):
    site.conversation().say("one")
    page = (Path(__file__).parents[2] / "docs/reliability.md").read_text()
    commands = [line.split("#")[0].split() for line in page.splitlines() if line.startswith("turnpike spool ")]
    assert len(commands) == 4
    site.gateway.terminate()
    for _, *arguments in commands:
        arguments[arguments.index("--config") + 1] = site.gateway.config_path
        run(*arguments)
    site.start()


def test_metrics_tell_what_waits(site):
    conversation = site.conversation()
    conversation.say("one")
    with locked(site):
        conversation.say("two")
        metrics = exchange(site.gateway.admin_port, "GET", "/metrics").body.decode()
        assert "turnpike_spool_turns 1\n" in metrics and "turnpike_spool_spooled_total 1\n" in metrics
    drained(site)
    metrics = exchange(site.gateway.admin_port, "GET", "/metrics").body.decode()
    assert "turnpike_spool_turns 0\n" in metrics and "turnpike_spool_replayed_total 1\n" in metrics


def test_two_processes_do_not_share_a_spool(site):
    with pytest.raises(AssertionError, match=r"spool.directory: .*is using it: give each process its own \(spool.directory\)"):
        run("serve", "--config", second(site))


def second(site):
    """A configuration for another process on the same directories."""
    configuration = json.loads(site.gateway.config_path.read_text())
    configuration["server"] = {"host": "127.0.0.1", "port": 0}
    path = site.directory / "second.yaml"
    path.write_text(json.dumps(configuration))
    return path


@pytest.mark.parametrize("by_command", [False, True])
def test_a_spooled_turn_whose_session_a_restored_backup_does_not_have_is_named(site, by_command):
    site.key()
    site.gateway.stop()
    path, backup = site.directory / "turnpike.db", site.directory / "backup.db"
    with contextlib.closing(sqlite3.connect(path)) as source, contextlib.closing(sqlite3.connect(backup)) as copy:
        source.backup(copy)
    site.start()
    talk = site.conversation()
    talk.say("one")
    execute(site, "ALTER TABLE messages RENAME TO messages_gone")
    talk.say("two", timeout=40)
    site.gateway.stop()
    for name in ("turnpike.db-wal", "turnpike.db-shm"):
        (site.directory / name).unlink(missing_ok=True)
    backup.replace(path)
    if by_command:
        told = json.loads(run("spool", "replay", "--config", site.gateway.config_path, "--json"))
        assert told == {"stored": 0, "discarded": 1, "set_aside": 0}
        return
    site.start()
    drained(site)
    eventually(lambda: site.gateway.log.count("The session of a spooled turn is gone; the turn was discarded.") == 1)
    metrics = exchange(site.gateway.admin_port, "GET", "/metrics").body.decode()
    assert "\nturnpike_spool_discarded_total 1\n" in metrics and "\nturnpike_spool_replayed_total 0\n" in metrics
