"""A key is replaced by a new one while the old one goes on for a while."""
import calendar
import json
import subprocess
import time

import pytest

from harness.client import exchange
from harness.gateway import binary, environment, run
from harness.rows import execute
from harness.site import CHAT, SESSIONS, error_of, fresh
from harness.waiting import eventually, together

DATABASES = "both"


@pytest.fixture(scope="module")
def site(open_site):
    return open_site(log={"level": "trace"})


@pytest.fixture
def user(site):
    """A user of the test's own, with a key that is called laptop."""
    name = fresh("rota")
    site.key(name)
    return name


def command(site, word, *arguments):
    """(exit status, stdout, stderr) of `turnpike keys …` on the site's configuration."""
    done = subprocess.run(arguments_of(site, word, *arguments), env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout, done.stderr


def arguments_of(site, word, *arguments):
    return [binary(), "keys", word, "--config", str(site.gateway.config_path), *arguments]


def rotated(site, *arguments):
    """What a rotation prints as JSON."""
    return json.loads(run(*arguments_of(site, "rotate", *arguments, "--json")[1:]))


def listed(site, user):
    """The user's keys, oldest first."""
    return json.loads(run(*arguments_of(site, "list", "--json", "--user", user)[1:]))


def ask(site, key, method="GET", target="/v1/activity", value=None, headers=()):
    body = json.dumps(value).encode() if value else b""
    fields = [("Authorization", f"Bearer {key}"), *([("Content-Type", "application/json")] if body else []), *headers]
    return exchange(site.port, method, target, fields, body)


def say(site, key, text, session):
    """The messages that reach the upstream when `text` is said in a session."""
    model = fresh("model")
    value = {"model": model, "messages": [{"role": "user", "content": text}]}
    assert ask(site, key, "POST", CHAT, value, [("X-Session-ID", session)]).status == 200
    return [message["content"] for message in site.sent(model)[0].json()["messages"]]


def test_the_new_key_is_printed_once_and_alone_and_both_work(site, user):
    old = site.key(user)
    assert ask(site, old).status == 200
    status, out, err = command(site, "rotate", "--user", user, "--name", "laptop", "--grace", "1h")
    new = out.strip()
    assert status == 0 and out == f"{new}\n" and new.startswith("tp-") and len(new) == len(old) and new != old
    assert old[:11] in err and new[:11] in err and new not in err and "works until" in err and err.endswith("without an end\n")
    assert ask(site, new).status == 200 and ask(site, old).status == 200
    first, second = listed(site, user)
    assert (first["state"], second["state"], first["replaced_by"], second["replaced_by"]) == ("replaced", "live", second["id"], None)
    assert first["expires_at"] and second["expires_at"] is None and first["name"] == second["name"] == "laptop"
    table = run(*arguments_of(site, "list", "--user", user)[1:])
    for text in (json.dumps([first, second]), table, site.gateway.log):
        assert new not in text and old not in text


def test_the_old_key_ends_with_its_period_of_grace_and_the_usual_401(site, user):
    old = site.key(user)
    assert ask(site, old).status == 200
    began = time.monotonic()
    rotation = rotated(site, "--user", user, "--name", "laptop", "--grace", "3s")
    assert ask(site, old).status == 200
    refused = eventually(lambda: ask(site, old), lambda response: response.status != 200, timeout=5)
    assert time.monotonic() - began >= 3
    error_of(refused, 401, "api_key_expired")
    assert ask(site, rotation["key"]).status == 200
    assert [key["state"] for key in listed(site, user)] == ["expired", "live"]


def test_without_a_period_of_grace_the_old_key_ends_within_two_seconds(site, user):
    old = site.key(user)
    assert ask(site, old).status == 200
    rotation = rotated(site, "--user", user, "--name", "laptop", "--grace", "0s")
    error_of(eventually(lambda: ask(site, old), lambda response: response.status != 200, timeout=2), 401, "api_key_expired")
    assert ask(site, rotation["key"]).status == 200


def test_the_period_of_grace_is_a_day_unless_it_is_said_and_can_be_cut_short(site, user):
    old = site.key(user)
    rotation = rotated(site, "--user", user, "--name", "laptop")
    moment = lambda text: calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))
    assert moment(rotation["replaces"]["expires_at"]) - moment(rotation["created_at"]) == 86_400
    assert ask(site, old).status == 200
    status, _, err = command(site, "revoke", "--user", user, "--id", rotation["replaces"]["id"])
    assert status == 0 and old[:11] in err
    error_of(eventually(lambda: ask(site, old), lambda response: response.status != 200, timeout=2), 401, "api_key_revoked")
    assert ask(site, rotation["key"]).status == 200


def test_conversations_and_activity_are_the_users_and_so_the_new_keys(site, user):
    old, session = site.key(user), fresh("session")
    assert say(site, old, "one", session) == ["one"]
    new = rotated(site, "--user", user, "--name", "laptop", "--grace", "1h")
    assert say(site, new["key"], "two", session) == ["one", "re: one", "two"]
    assert say(site, old, "three", session) == ["one", "re: one", "two", "re: two", "three"]
    sessions = [ask(site, key, target=SESSIONS).json()["data"] for key in (old, new["key"])]
    assert sessions[0] == sessions[1] and len(sessions[0]) == 1
    rows = lambda: [row["key_id"] for row in ask(site, new["key"], target="/v1/activity").json()["data"] if row["path"] == CHAT]
    ids = [f"key_{identifier.replace('-', '')}" for identifier in (new["replaces"]["id"], new["id"])]
    assert eventually(rows, lambda found: len(found) == 3) == [ids[0], ids[1], ids[0]]


def test_all_settings_go_over_to_the_new_key(site, user):
    run(*arguments_of(site, "create", "--user", user, "--name", "titles", "--history-mode", "off", "--admin", "--expires-in-days", "30")[1:])
    rotation = rotated(site, "--user", user, "--name", "titles", "--grace", "1h")
    made, kept = (next(key for key in listed(site, user) if key["id"] == identifier) for identifier in (rotation["id"], rotation["replaces"]["id"]))
    own = {"id", "prefix", "created_at", "expires_at", "state", "replaced_by"}
    assert {name: value for name, value in made.items() if name not in own} == {name: value for name, value in kept.items() if name not in own}
    assert made["history_mode"] == "off" and made["scopes"] == "chat,admin" and made["expires_at"] > kept["expires_at"]
    _, _, err = command(site, "rotate", "--user", user, "--name", "titles", "--expires-in-days", "90")
    longer = listed(site, user)[-1]
    assert longer["expires_at"] > made["expires_at"] and err.endswith(f"until {longer['expires_at']}\n")


def test_a_key_at_its_end_is_not_rotated_and_the_reason_is_told(site, user):
    first = rotated(site, "--user", user, "--name", "laptop", "--grace", "1h")
    old, new = first["replaces"]["id"], first["id"]
    before = listed(site, user)
    status, out, err = command(site, "rotate", "--user", user, "--id", old)
    assert (status, out) == (1, "") and "replaced already" in err and new in err
    run(*arguments_of(site, "revoke", "--user", user, "--id", new)[1:])
    for choice in (("--id", new), ("--name", "laptop")):
        status, out, err = command(site, "rotate", "--user", user, *choice)
        assert (status, out) == (1, "") and "was revoked" in err
    made = site.gateway.create_key(user, "short", "--expires-in-days", "1")
    execute(site, f"UPDATE api_keys SET expires_us = 1 WHERE prefix = '{made[:11]}'")
    status, out, err = command(site, "rotate", "--user", user, "--name", "short")
    assert (status, out) == (1, "") and "has expired" in err
    after = listed(site, user)
    assert [key["id"] for key in after[:2]] == [key["id"] for key in before] and len(after) == 3
    for choice in (("--name", "unheard"), ("--id", "key_" + "0" * 32)):
        status, out, err = command(site, "rotate", "--user", user, *choice)
        assert (status, out) == (1, "") and "no such key" in err


@pytest.mark.parametrize("arguments, word", [
    ([], "--name or --id"), (["--name", "laptop", "--id", "0" * 32], "--name or --id"), (["--id", "laptop"], "--id"),
    (["--name", "laptop", "--grace", "soon"], "--grace"), (["--name", "laptop", "--grace", "-1s"], "--grace"),
    (["--name", "laptop", "--grace", "367d"], "366d"), (["--name", "laptop", "--grace", "9223372036854775807ms"], "366d"),
    (["--name", "laptop", "--expires-in-days", "0"], "--expires-in-days")])
def test_what_is_misspelt_changes_nothing(site, user, arguments, word):
    before = listed(site, user)
    status, out, err = command(site, "rotate", "--user", user, *arguments)
    assert status == 64 and out == "" and word in err, err
    assert listed(site, user) == before


def test_the_key_of_another_user_cannot_be_rotated_or_revoked(site, user):
    other = fresh("thief")
    site.key(other)
    (victim,) = listed(site, user)
    for word in ("rotate", "revoke"):
        status, out, err = command(site, word, "--user", other, "--id", victim["id"])
        assert (status, out) == (1, "") and "no such key" in err
    assert listed(site, user) == [victim] and ask(site, site.key(user)).status == 200


def test_of_two_rotations_of_one_key_at_once_one_wins(site, user):
    (old,) = listed(site, user)
    done = together(lambda _: command(site, "rotate", "--user", user, "--id", old["id"]), range(6))
    won = [out.strip() for status, out, _ in done if status == 0]
    assert len(won) == 1 and all("replaced already" in err for status, _, err in done if status != 0), done
    first, second = listed(site, user)
    assert first["replaced_by"] == second["id"] and won[0].startswith(second["prefix"])
    assert ask(site, won[0]).status == 200


def whole(site, user):
    """The user's keys, of which each one replaces the one before, and the last one is live."""
    keys = listed(site, user)
    assert [key["replaced_by"] for key in keys] == [*(key["id"] for key in keys[1:]), None], keys
    assert all(key["expires_at"] for key in keys[:-1]) and keys[-1]["expires_at"] is None and keys[-1]["state"] == "live"
    return keys


def test_a_rotation_that_is_killed_at_any_moment_happened_or_did_not(site, user):
    longest = time.monotonic()
    rotated(site, "--user", user, "--name", "laptop")
    longest = time.monotonic() - longest
    for part in range(1, 13):
        process = subprocess.Popen(arguments_of(site, "rotate", "--user", user, "--name", "laptop"), env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            process.wait(longest * part / 12)
        except subprocess.TimeoutExpired:
            process.kill()
        printed = process.communicate()[0].strip()
        keys = whole(site, user)
        assert not printed or printed.startswith(keys[-1]["prefix"]) and ask(site, printed).status == 200
    # What was lost with a killed process is replaced by name.
    new = rotated(site, "--user", user, "--name", "laptop")
    assert whole(site, user)[-1]["id"] == new["id"] and ask(site, new["key"]).status == 200
    assert ask(site, site.key(user)).status == 200, "the first one is still in its day of grace"
