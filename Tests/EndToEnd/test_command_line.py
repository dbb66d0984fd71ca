"""The commands: results on stdout, words on stderr, an exit status that tells."""
import contextlib
import json
import re
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from harness.certificates import Authority
from harness.gateway import binary, environment, run
from harness.ports import free_port

GOOD = """
server: {{ host: 127.0.0.1, port: {port} }}
database: "sqlite:{directory}/turnpike.db"
auth: {{ hash_key: "file:{directory}/hash.key" }}
providers:
  local: {{ base_url: "http://127.0.0.1:9/v1" }}
"""
COMMANDS = [
    [], ["serve"], ["check"], ["demo"], ["version"], ["users"], ["users", "create"], ["users", "list"], ["keys"], ["keys", "create"],
    ["keys", "list"], ["keys", "update"], ["keys", "rotate"], ["keys", "revoke"], ["migrate"], ["tokens"], ["tokens", "count"], ["spool"], ["spool", "list"], ["spool", "replay"], ["spool", "export"],
]


@pytest.fixture
def config(tmp_path):
    """A configuration that can be used."""
    path = tmp_path / "turnpike.yaml"
    path.write_text(GOOD.format(directory=tmp_path, port=free_port()))
    return path


def turnpike(*arguments, variables=None):
    """(exit status, stdout, stderr) of a command."""
    done = subprocess.run(
        [binary(), *map(str, arguments)], env=environment(variables), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout, done.stderr


def line_of(text, word):
    """The number of the line with `word`, as an editor counts."""
    return 1 + next(number for number, line in enumerate(text.splitlines()) if word in line)


# check


def test_check_says_that_a_good_file_is_good_and_touches_nothing(config):
    status, out, err = turnpike("check", "--config", config)
    assert (status, err) == (0, "") and str(config) in out
    assert [path.name for path in config.parent.iterdir()] == ["turnpike.yaml"]


def test_check_tells_programs_too(config, tmp_path):
    status, out, err = turnpike("check", "--config", config, "--json")
    assert (status, json.loads(out), err) == (0, {"ok": True, "problems": []}, "")
    config.write_text(config.read_text() + "lgo: { level: info }\nplugins: { histroy: {} }\n")
    status, out, err = turnpike("check", "--config", config, "--json")
    told, count = json.loads(out), len(config.read_text().splitlines())
    assert (status, told["ok"], err) == (1, False, "")
    assert [(problem["file"], problem["line"], problem["key"]) for problem in told["problems"]] == [
        (str(config), count - 1, "lgo"), (str(config), count, "plugins.histroy")]
    assert "“log”" in told["problems"][0]["message"]
    config.write_text(config.read_text().partition("lgo:")[0].replace("port: ", "port: 9"))
    (problem,) = json.loads(turnpike("check", "--config", config, "--json")[1])["problems"]
    assert problem["key"] == "server.port"
    status, out, err = turnpike("check", "--config", tmp_path / "none.yaml", "--json")
    (problem,) = json.loads(out)["problems"]
    assert (status, list(problem), err) == (1, ["message"], "") and "cannot be read" in problem["message"]


BAD = {
    "a misspelt key": ("sever: { port: 1 }", "sever", "server"),
    "a misspelt key within": ("log: { levl: info }", "levl", "level"),
    "a provider's misspelt key": ("providers: { p: { base_url: 'http://x/v1', api_kye: x } }", "api_kye", "api_key"),
    "a misspelt plugin setting": ("plugins: { history: { max_history_mesages: 1 } }", "max_history_mesages", "max_history_messages"),
    "a word for a number": ("server: { max_connections: many }", "max_connections", "whole number"),
    "a number out of range": ("server: { port: 70000 }", "port", "70000"),
    "a bad duration": ("server: { head_timeout: soon }", "head_timeout", "duration"),
    "a bad size": ("server: { max_body: 1XB }", "max_body", "size"),
    "a bad log level": ("log: { level: loud }", "level", "debug"),
    "an unknown provider": ("models: { m: { provider: loca } }", "loca", "local"),
    "a chain with nobody's plugin": ("chain: [activity, auth, histroy]", "histroy", "history"),
    "a chain in the wrong order": ("chain: [router, auth]", "auth", "router"),
    "a flag on authentication": ("flags: { auth: false }", "auth", "flag"),
    "a flag on nothing": ("flags: { captrue: false }", "captrue", "capture"),
    "a bad address": ("providers: { p: { base_url: 'ftp://x' } }", "base_url", "https://"),
    "a variable that is not set": ("providers: { p: { base_url: 'http://x/v1', api_key: '${NOT_SET_ANYWHERE}' } }", "NOT_SET_ANYWHERE", ""),
    "a database that nobody knows": ("database: oracle://x", "database", "sqlite"),
    "a certificate without its key": ("server: { tls: { certificate: c.pem } }", "certificate", "key"),
    "broken YAML": ("log: { level: [ }", "", ""),
    "a list for a section": ("log: [x]", "log", "section"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("command", ["check", "serve"])
def test_a_bad_file_is_refused_with_file_line_key_and_what_would_be_right(config, kind, command):
    line, key, hint = BAD[kind]
    name = line.partition(":")[0]
    kept = [old for old in config.read_text().splitlines() if not old.startswith((f"{name}:", "  local")) or name not in ("server", "database", "providers")]
    if name != "providers" and "  local: { base_url: \"http://127.0.0.1:9/v1\" }" not in kept:
        kept.append('  local: { base_url: "http://127.0.0.1:9/v1" }')
    text = "\n".join([*kept, "# a comment", line]) + "\n"
    config.write_text(text)
    status, out, err = turnpike(command, "--config", config)
    assert status == 1 and out == "", (status, out, err)
    assert key in err and hint in err, err
    number = re.search(rf"{re.escape(str(config))}:(\d+)", err)
    assert number and (key == "" or int(number[1]) == line_of(text, "# a comment") + 1), err


def test_all_unknown_keys_are_named_at_once(config):
    config.write_text(config.read_text() + "lgo: { level: info }\nplugins: { histroy: {}, capture: { limt: 1 } }\n")
    status, out, err = turnpike("check", "--config", config)
    assert (status, out) == (1, "")
    assert ["lgo" in err, "“log”" in err, "plugins.histroy" in err, "plugins.capture.limt" in err] == [True] * 4, err
    assert err.count(f"{config}:") == 3


def test_a_required_key_that_is_misspelt_is_not_called_missing(config):
    config.write_text(config.read_text().replace("database:", "databse:").replace("base_url:", "base_ur:"))
    status, _, err = turnpike("check", "--config", config)
    assert status == 1 and "databse: unknown key; did you mean “database”?" in err, err
    config.write_text(config.read_text().replace("databse:", "database:"))
    status, _, err = turnpike("check", "--config", config)
    assert status == 1 and "base_ur: unknown key; did you mean “base_url”?" in err, err


def test_the_same_key_twice_is_refused(config):
    config.write_text(config.read_text() + "log: { level: info }\nlog: { level: debug }\n")
    status, _, err = turnpike("check", "--config", config)
    assert status == 1 and "log" in err and str(config) in err


def test_the_configuration_that_is_shipped_is_good():
    shipped = Path(__file__).resolve().parents[2] / "config/turnpike.yaml"
    status, _, err = turnpike("check", "--config", shipped, variables={"OPENAI_API_KEY": "sk-x"})
    assert status == 0, err


def test_a_secret_in_a_bad_file_is_not_printed(config):
    config.write_text(config.read_text() + "  p: { base_url: nonsense, api_key: sk-canary-in-a-file }\n")
    status, out, err = turnpike("check", "--config", config)
    assert status == 1 and "canary" not in out + err


def test_a_misspelt_key_of_a_model_catalogue_names_the_nearest(config, tmp_path):
    group = {"provider": "p", "source": "s", "by": "b", "date": "2026-01-01", "models": {"m": {"encoding": "o200k_base", "contxt_window": 1}}}
    (tmp_path / "models.json").write_text(json.dumps({"version": 1, "groups": [group]}))
    config.write_text(config.read_text() + f"model_catalogue: {tmp_path}/models.json\n")
    status, _, err = turnpike("check", "--config", config)
    assert status == 1 and "contxt_window" in err and "did you mean “context_window”?" in err and str(config) in err, err


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "sk canary"])
def test_a_key_in_the_form_of_another_gateway_is_refused_with_what_to_write(config, name):
    config.write_text(config.read_text().replace("base_url:", f'api_key: "os.environ/{name}", base_url:'))
    status, _, err = turnpike("check", "--config", config)
    assert status == 1 and f"providers.local.api_key" in err and "canary" not in err, err
    assert ("${OPENAI_API_KEY}" if name == "OPENAI_API_KEY" else "${NAME}") in err


def test_check_finds_what_a_start_would_stumble_over(config, tmp_path):
    authority, good = Authority(tmp_path), config.read_text()
    (certificate, key), (_, other) = authority.sign(), authority.sign("other")
    (tmp_path / "garbage").write_text("garbage")

    def mistake(text):
        config.write_text(text)
        status, _, err = turnpike("check", "--config", config)
        assert status == 1 and str(config) in err, err
        return err

    def tls(certificate, key):
        return good.replace("server: {", f"server: {{ tls: {{ certificate: '{certificate}', key: '{key}' }},")

    assert "server.tls.certificate: expected a file of PEM certificates" in mistake(tls(tmp_path / "garbage", key))
    assert "server.tls.key: expected a PEM file of a private key" in mistake(tls(certificate, certificate))
    assert "server.tls.key: this is not the key of the certificate" in mistake(tls(certificate, other))
    spools = f"spool: {{ directory: '{tmp_path}/s' }}\nactivity: {{ spool: '{tmp_path}/./s/' }}\n"
    assert "activity.spool:" in mistake(good + spools)
    hash_keys = f'hash_keys: {{ a: "file:{tmp_path}/a.key", b: "file:{tmp_path}/b.key" }}, current_hash_key: b'
    assert "auth.hash_keys: the hash key" in mistake(re.sub('hash_key: "[^"]*"', hash_keys, good))
    config.write_text(tls(certificate, key))
    assert turnpike("check", "--config", config)[0] == 0


# serve


def test_serve_without_a_configuration_names_demo():
    status, out, err = turnpike("serve")
    assert status != 0 and out == "" and "demo" in err


def test_serve_with_a_file_that_cannot_be_read_names_it_and_why_and_demo(tmp_path):
    status, _, err = turnpike("serve", "--config", tmp_path / "missing.yaml")
    assert status == 1 and "missing.yaml: cannot be read: No such file or directory. " in err and "demo" in err
    assert "cannot be read: Is a directory. " in turnpike("serve", "--config", tmp_path)[2]
    (tmp_path / "latin.yaml").write_bytes(b"# \xe4\n")
    assert "cannot be read: it is no UTF-8 text. " in turnpike("serve", "--config", tmp_path / "latin.yaml")[2]


def test_each_command_says_when_its_new_key_expires():
    words = lambda command: " ".join(run("keys", command, "--help").split())
    assert "without it, it does not." in words("create") and "old one would have" not in words("create")
    assert "without it, it does when the old one would have." in words("rotate")


@pytest.mark.parametrize("command", [["revoke"], ["rotate"], ["update", "--history-mode", "off"]])
def test_a_key_that_is_not_there_is_to_be_looked_for_in_the_list(config, command):
    run("users", "create", "--config", config, "alice's")
    status, _, err = turnpike("keys", *command, "--config", config, "--user", "alice's", "--name", "x")
    assert status == 1 and "the user has no such key: see `turnpike keys list --user 'alice'\\''s'`" in err, err


def test_serve_on_a_port_that_is_taken_says_so(config, upstream):
    config.write_text(re.sub(r"port: \d+", f"port: {upstream.port}", config.read_text()))
    status, _, err = turnpike("serve", "--config", config)
    assert status != 0 and ("in use" in err.lower() or "EADDRINUSE" in err or str(upstream.port) in err), err


@pytest.mark.parametrize("host", ["127.0.0.999", "192.0.2.1"])
def test_serve_on_a_host_that_is_not_its_own_names_the_key_of_the_host(config, host):
    config.write_text(config.read_text().replace("host: 127.0.0.1", f"host: {host}"))
    status, _, err = turnpike("serve", "--config", config)
    assert status == 1 and host in err and "(server.host)" in err, err


def test_serve_says_in_one_line_where_it_listens_and_what_it_uses(start_gateway, upstream):
    providers = {name: {"base_url": upstream.url, "api_key": f"sk-canary-{name}"} for name in ("one", "two")}
    gateway = start_gateway(providers=providers, default_provider="one", log={"level": "info", "format": "json"})
    (line,) = [entry for entry in map(json.loads, gateway.log.splitlines()) if entry["message"] == "Turnpike listens."]
    assert line["level"] == "info" and line["address"] == f"http://127.0.0.1:{gateway.port}" and line["providers"] == "one,two"
    assert line["admin"] == f"127.0.0.1:{gateway.admin_port}" and line["database"].startswith("sqlite:") and re.match(r"\d+\.", line["version"])
    assert "canary" not in gateway.log


def test_serve_shows_no_password_of_its_database(start_gateway):
    address = "mariadb://turnpike:canary-password@127.0.0.1:1,db2.invalid:3307/chats?tls=off"
    gateway = start_gateway(database=address, until="/healthz", log={"level": "info", "format": "text"})
    assert re.search(r"INFO Turnpike listens\. .*database=mariadb://127\.0\.0\.1:1,db2\.invalid:3307/chats ", gateway.log), gateway.log
    assert "canary" not in gateway.log and "turnpike:" not in gateway.log


# users and keys


def test_a_key_and_nothing_else_is_printed(config):
    status, out, _ = turnpike("keys", "create", "--config", config, "--user", "alice", "--name", "laptop", "--create-user")
    assert status == 0 and re.fullmatch(r"\S{20,}\n", out)


def test_every_key_is_another_one(config):
    keys = {run("keys", "create", "--config", config, "--user", "alice", "--name", f"k{number}", "--create-user") for number in range(5)}
    assert len(keys) == 5


def test_lists_are_json_when_asked_and_show_no_key(config):
    key = run("keys", "create", "--config", config, "--user", "alice", "--name", "laptop", "--create-user").strip()
    run("keys", "create", "--config", config, "--user", "bob", "--name", "phone", "--create-user", "--admin", "--expires-in-days", "3")
    run("keys", "revoke", "--config", config, "--user", "alice", "--name", "laptop")
    listed = run("keys", "list", "--config", config, "--json")
    rows = {row["name"]: row for row in json.loads(listed)}
    assert {name: (row["user"], row["state"]) for name, row in rows.items()} == {"laptop": ("alice", "revoked"), "phone": ("bob", "live")}
    assert "admin" in rows["phone"]["scopes"] and rows["phone"]["expires_at"] and "admin" not in rows["laptop"]["scopes"]
    assert key not in listed and key.startswith(rows["laptop"]["prefix"])
    assert [row["name"] for row in json.loads(run("keys", "list", "--config", config, "--json", "--user", "bob"))] == ["phone"]
    assert [user["name"] for user in json.loads(run("users", "list", "--config", config, "--json"))] == ["alice", "bob"]


def test_lists_are_tables_for_people(config):
    run("keys", "create", "--config", config, "--user", "alice", "--name", "laptop", "--create-user")
    for kind, words in (("keys", ("alice", "laptop", "live")), ("users", ("alice",))):
        table = run(kind, "list", "--config", config)
        assert all(word in table for word in words) and len(table.splitlines()) == 2


def test_a_rotation_of_the_hash_key_can_be_followed_in_the_list(config):
    run("keys", "create", "--config", config, "--user", "alice", "--name", "old", "--create-user", "--expires-in-days", "3")
    (listed,) = json.loads(run("keys", "list", "--config", config, "--json"))
    assert listed["hash_key"] == "default" and listed["expires_at"]
    rotated = "auth: {{ hash_keys: {{ default: \"file:{0}/hash.key\", second: \"file:{0}/second.key\" }}, current_hash_key: second }}"
    config.write_text(re.sub(r"^auth:.*$", rotated.format(config.parent), config.read_text(), flags=re.M))
    run("keys", "create", "--config", config, "--user", "alice", "--name", "new")
    listed = {row["name"]: row for row in json.loads(run("keys", "list", "--config", config, "--json"))}
    assert {name: (row["hash_key"], row["expires_at"] is None) for name, row in listed.items()} == {"old": ("default", False), "new": ("second", True)}
    table = run("keys", "list", "--config", config).splitlines()
    assert re.split(r" {2,}", table[0])[-3:] == ["EXPIRES", "HASH KEY", "ID"]
    old, new = (re.split(r" {2,}", line)[-3:-1] for line in table[1:])
    assert old == [listed["old"]["expires_at"], "default"] and new == ["never", "second"]


def test_the_history_mode_of_a_key_is_listed_and_can_be_changed(config):
    key = ["--config", config, "--user", "alice", "--name"]
    run("keys", "create", *key, "plain", "--create-user")
    run("keys", "create", *key, "titles", "--history-mode", "off")
    listed = lambda: {row["name"]: row["history_mode"] for row in json.loads(run("keys", "list", "--config", config, "--json"))}
    assert listed() == {"plain": None, "titles": "off"}
    assert {line.split()[4] for line in run("keys", "list", "--config", config).splitlines()[1:]} == {"default", "off"}
    for word, mode in (("append", "append"), ("default", None)):
        status, out, err = turnpike("keys", "update", *key, "titles", "--history-mode", word)
        assert (status, out) == (0, "") and word.replace("default", "as configured") in err
        assert listed() == {"plain": None, "titles": mode}


def test_empty_lists_are_empty_arrays(config):
    assert json.loads(run("keys", "list", "--config", config, "--json")) == []
    assert json.loads(run("users", "list", "--config", config, "--json")) == []


def test_a_user_is_created_once(config):
    assert run("users", "create", "--config", config, "alice").strip()
    status, out, err = turnpike("users", "create", "--config", config, "alice")
    assert status == 1 and out == "" and "already" in err


@pytest.mark.parametrize("arguments", [
    ["keys", "create", "--user", "nobody", "--name", "x"], ["keys", "revoke", "--user", "nobody", "--name", "x"],
    ["keys", "list", "--user", "nobody"], ["keys", "revoke", "--user", "alice", "--name", "unheard"],
    ["keys", "create", "--user", "alice", "--name", "x", "--expires-in-days", "0"], ["users", "create", ""],
    ["keys", "create", "--user", "alice", "--name", ""], ["keys", "create", "--user", "alice", "--name", "x", "--history-mode", "sometimes"],
    ["keys", "update", "--user", "alice", "--name", "unheard", "--history-mode", "off"],
    ["keys", "rotate", "--user", "nobody", "--name", "x"], ["keys", "rotate", "--user", "alice", "--name", "unheard"],
    ["keys", "rotate", "--user", "alice"], ["keys", "revoke", "--user", "alice", "--name", "x", "--id", "0" * 32],
])
def test_what_cannot_be_done_is_one_sentence_on_stderr(config, arguments):
    run("users", "create", "--config", config, "alice")
    status, out, err = turnpike(*arguments, "--config", config)
    assert status != 0 and out == "" and err.strip() and "Fatal" not in err


def test_two_live_keys_of_a_user_have_different_names(config):
    create = ["keys", "create", "--config", config, "--user", "alice", "--name", "laptop", "--create-user"]
    run(*create)
    status, out, err = turnpike(*create)
    assert status == 1 and out == "" and "already" in err
    run("keys", "revoke", "--config", config, "--user", "alice", "--name", "laptop")
    assert run(*create)


# help and version


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command):
    status, out, _ = turnpike(*command, "--help")
    assert status == 0 and "USAGE: turnpike" in out and "OVERVIEW: " in out
    overview = out.partition("OVERVIEW: ")[2].partition("USAGE")[0].strip()
    assert len(overview.split()) >= 3
    for line in out.splitlines():
        option = re.match(r"  (--[a-z-]+|-[a-z], --[a-z-]+)( <[a-z-]+>)?\s*(.*)", line)
        if option and not option[3]:
            following = out.splitlines()[out.splitlines().index(line) + 1 :]
            assert following and following[0].startswith(" " * 10), f"{line} has no explanation"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_is_wrapped_for_80_columns_and_nowhere_else(command):
    _, out, _ = turnpike(*command, "--help", variables={"COLUMNS": "80"})
    assert max(map(len, out.splitlines())) <= 80, out
    overview = out.partition("USAGE")[0].splitlines()
    for line, following in zip(overview, overview[1:]):
        # A line of a paragraph is left only where the next word has no room.
        if line and following and not line.startswith(" ") and not following.startswith(" "):
            assert len(line) + 1 + len(following.split()[0]) >= 80, f"{line!r} breaks off before {following!r}"
    assert not re.search(r"^--", out.partition("OPTIONS")[0], re.M), "an option is torn from its command"


def test_the_version_is_printed(config):
    assert re.fullmatch(r"turnpike \d+\.\d+\.\d+\S*\n", run("version"))
    assert re.search(r"\d+\.\d+\.\d+", run("--version"))


def test_an_unknown_command_is_an_error_with_usage():
    status, out, err = turnpike("sreve")
    assert status != 0 and out == "" and "Usage" in err


def test_serve_ends_when_its_hash_key_cannot_be_used(config, tmp_path):
    (tmp_path / "file").write_text("")
    config.write_text(config.read_text().replace("hash.key", "file/hash.key"))
    status, _, err = turnpike("serve", "--config", config)
    assert status == 1 and "hash key" in err


# migrate


def test_migrate_lists_and_applies_what_is_pending_and_then_nothing(config):
    status, out, err = turnpike("migrate", "--config", config, "--dry-run", "--json")
    assert (status, err) == (0, "")
    pending = json.loads(out)["pending"]
    assert [path.name for path in config.parent.iterdir()] == ["turnpike.yaml"]
    assert {entry["component"] for entry in pending} >= {"auth", "activity", "conversations"}
    assert all(entry["number"] >= 1 and entry["name"] and isinstance(entry["steps"], list) for entry in pending)
    status, out, _ = turnpike("migrate", "--config", config, "--dry-run")
    assert status == 0 and len(out.splitlines()) == len(pending) and "pending auth 1: users, keys, changes" in out
    assert "(0 steps)" not in out and "(1 steps)" not in out
    with contextlib.closing(sqlite3.connect(config.parent / "turnpike.db")) as database:
        database.execute("CREATE TABLE another (x)")
        assert turnpike("migrate", "--config", config, "--dry-run")[:2] == (0, out)
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("another",)]
    status, out, _ = turnpike("migrate", "--config", config, "--json")
    assert status == 0 and json.loads(out)["applied"] == pending
    assert turnpike("migrate", "--config", config, "--json")[:2] == (0, '{"applied":[]}\n')
    assert turnpike("migrate", "--config", config)[:2] == (0, "The tables are up to date.\n")


def test_migrate_says_that_it_waits_for_another_process(config):
    run("migrate", "--config", config)
    with contextlib.closing(sqlite3.connect(config.parent / "turnpike.db", isolation_level=None)) as database:
        # As one leaves it that was killed in its first migration, 58 seconds later.
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'schema_%'").fetchall():
            database.execute(f"DROP TABLE IF EXISTS {table}")
        database.execute("DELETE FROM schema_versions")
        until = int((time.time() + 2) * 1_000_000)
        database.execute("UPDATE schema_lease SET holder = zeroblob(16), expires_us = ? WHERE lease_id = 1", [until])
    began = time.monotonic()
    status, out, err = turnpike("migrate", "--config", config)
    assert status == 0 and "applied auth 1" in out and time.monotonic() > began + 1, (out, err)
    assert err.count("Another process migrates; this one waits for it.") == 1 and "at_most_if_it_has_died=60 s" in err.replace('"', "")


def test_migrate_counts_anew_what_users_have(config):
    run("migrate", "--config", config)
    with sqlite3.connect(config.parent / "turnpike.db") as database:
        database.execute("INSERT INTO session_totals (user_id, active) VALUES (zeroblob(16), 5)")
    database.close()
    counted = turnpike("migrate", "--config", config, "--recount")
    assert counted[:2] == (0, "The tables are up to date.\ncounted anew: 1 user\n"), counted
    with sqlite3.connect(config.parent / "turnpike.db") as database:
        assert database.execute("SELECT COALESCE(SUM(active), 0) FROM session_totals").fetchone() == (0,)
    database.close()
    assert turnpike("migrate", "--config", config, "--recount", "--json")[:2] == (0, '{"applied":[],"recounted":0}\n')
    assert turnpike("migrate", "--config", config, "--recount", "--dry-run")[0] == 64


def test_a_schema_that_is_newer_than_the_program_is_refused(config):
    run("migrate", "--config", config)
    with sqlite3.connect(config.parent / "turnpike.db") as database:
        database.execute("INSERT INTO schema_versions VALUES ('auth', 99, 'from the future', 0)")
    database.close()
    for command in (["migrate"], ["migrate", "--dry-run"], ["serve"], ["users", "list"]):
        status, out, err = turnpike(*command, "--config", config)
        assert status == 1 and out == "", (command, out, err)
        assert "the schema of auth has version 99, this program knows" in err and "use a newer one" in err, err
