"""The database is away: Turnpike starts and serves what it can, says what is missing, and recovers without a restart."""
import contextlib
import json
import os
import signal
import sqlite3
import time
from urllib.parse import quote

import pytest

from harness import chat
from harness.answers import json_answer
from harness.balancer import Balancer
from harness.client import exchange
from harness.database import MariaDB
from harness.gateway import run
from harness.ports import free_port
from harness.site import SESSIONS, Site, error_of, said
from harness.waiting import eventually


def execute(site, *statements):
    """Changes the database behind the gateway's back."""
    connection = sqlite3.connect(site.directory / "turnpike.db", isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def settle(site):
    """Waits until the gateway knows alice's key; there is a stranger, whose key was never used."""
    site.key("stranger")
    site.settle()


@contextlib.contextmanager
def away(site):
    """Whatever authentication needs of the database is missing, and so it looks down."""
    names = ["api_keys", "changes"]
    execute(site, *(f"ALTER TABLE {name} RENAME TO {name}_gone" for name in names))
    try:
        yield
    finally:
        execute(site, *(f"ALTER TABLE {name}_gone RENAME TO {name}" for name in names))


def test_it_starts_without_its_database_and_recovers_when_it_can_be_opened(tmp_path):
    blocked = tmp_path / "data"
    blocked.write_text("a file stands where the directory of the database belongs")
    spool = {"directory": str(tmp_path / "spool")}
    with Site(tmp_path, database=f"sqlite:{blocked}/turnpike.db", spool=spool, until="/healthz") as site:
        waiting = eventually(lambda: site.readiness(), lambda answer: b"cannot be opened" in answer.body)
        assert waiting.status == 503 and waiting.json()["status"] == "not ready"
        assert waiting.json()["waiting_for"] == ["database"] and waiting.json()["reasons"]["database"]
        told_to_clients = exchange(site.port, "GET", "/readyz")
        assert told_to_clients.status == 503 and b"cannot be opened" not in told_to_clients.body
        assert set(told_to_clients.json()) == {"status", "waiting_for", "spool"}
        assert exchange(site.port, "GET", "/healthz").status == 200
        assert site.call("GET", "/v1/models", user=None).status == 401
        anybody = ("Authorization", "Bearer tp-" + "a" * 51)
        refused = site.call("GET", "/v1/models", headers=[anybody], user=None)
        error_of(refused, 503, "authentication_unavailable")
        assert refused.header("Retry-After")

        blocked.unlink()
        assert eventually(lambda: site.readiness(), lambda answer: answer.status == 200).json()["status"] == "ready"
        site.conversation().say("one")
        assert site.chat("x").status == 200
        assert site.gateway.log.count("The database cannot be used") <= 2, "an outage must not flood the log"


def test_a_reload_in_an_outage_keeps_the_keys_that_are_known(tmp_path):
    with Site(tmp_path) as site:
        settle(site)
        with away(site):
            eventually(lambda: site.call("GET", "/v1/models", user="stranger").status == 503)
            configuration = json.loads(site.gateway.config_path.read_text())
            configuration["models"] = {"only": {"provider": "scripted"}}
            site.gateway.config_path.write_text(json.dumps(configuration))
            os.kill(site.gateway.pid, signal.SIGHUP)
            eventually(lambda: site.chat("x", "gone").status == 404)
            assert site.chat("x", "only").status == 200
            refused = site.call("GET", "/v1/models", user="stranger")
            error_of(refused, 503, "authentication_unavailable")
            assert refused.header("Retry-After")
        eventually(lambda: site.call("GET", "/v1/activity", user="stranger").status == 200)


def test_a_key_that_nobody_used_since_a_change_of_keys_is_known_in_an_outage_and_a_revoked_one_is_not(tmp_path):
    with Site(tmp_path) as site:
        settle(site)
        token = site.gateway.create_key("leaver", "laptop")
        one = lambda: exchange(site.port, "GET", "/v1/activity", [("Authorization", f"Bearer {token}")]).status
        assert one() == 200
        run("keys", "revoke", "--config", site.gateway.config_path, "--user", "leaver", "--name", "laptop")
        eventually(lambda: one() == 401)
        # The changes were noticed; looking two keys up again takes less time than a command.
        run("keys", "list", "--config", site.gateway.config_path)
        with away(site):
            eventually(lambda: site.call("GET", "/v1/models", user="stranger").status == 503)
            assert site.chat("x").status == 200
            assert one() in (401, 503)


def test_when_the_grace_period_is_over_nobody_is_let_in(tmp_path):
    with Site(tmp_path, auth={"hash_key": f"file:{tmp_path / 'hash.key'}", "grace": "1s"}) as site:
        settle(site)
        with away(site):
            refused = eventually(lambda: site.chat("x"), lambda answer: answer.status != 200, timeout=10)
            error_of(refused, 503, "authentication_unavailable")
        eventually(lambda: site.chat("x").status == 200)


def test_a_key_that_another_process_revoked_in_an_outage_is_refused_when_it_ends(tmp_path):
    with Site(tmp_path) as site:
        settle(site)
        with away(site):
            assert site.chat("x").status == 200
            execute(site, "UPDATE api_keys_gone SET revoked_us = 1", "UPDATE changes_gone SET generation = generation + 1")
            assert site.chat("x").status == 200
        assert eventually(lambda: site.chat("x"), lambda answer: answer.status == 401, timeout=2.5)


@pytest.fixture
def server():
    """A MariaDB of the test's own, which it may kill."""
    with MariaDB(port=free_port()) as server:
        yield server


def test_it_starts_before_its_server_does_and_recovers_when_that_is_killed_and_comes_back(tmp_path, server):
    address = server.create_database()
    server.kill()
    with Site(tmp_path, database=address, until="/healthz") as site:
        reason = lambda answer: answer.json().get("reasons", {}).get("database", "not tried yet")
        assert eventually(lambda: site.readiness(), lambda answer: reason(answer) != "not tried yet").status == 503
        server.start()
        eventually(lambda: site.readiness().status == 200, timeout=15)
        conversation = site.conversation()
        conversation.say("one")
        settle(site)

        server.kill()
        eventually(lambda: site.readiness().status == 503)
        assert site.chat("x").status == 200, "a key that is known needs no database"
        refused = site.call("GET", "/v1/models", user="stranger")
        error_of(refused, 503, "authentication_unavailable")
        assert refused.header("Retry-After")
        assert site.call("GET", "/v1/models", user=None).status == 401

        server.start()
        eventually(lambda: site.readiness().status == 200, timeout=15)
        eventually(lambda: site.call("GET", "/v1/activity", user="stranger").status == 200)
        conversation.say("two")
        assert conversation.texts == ["one", "re: one", "two"]


@pytest.mark.timeout(120)
def test_a_server_that_hangs_holds_nobody_up_who_needs_it_not(tmp_path, server):
    with Site(tmp_path, database=server.create_database()) as site:
        settle(site)
        server.pause()
        try:
            waiting = eventually(lambda: site.readiness(), lambda answer: answer.status == 503, timeout=15)
            assert "does not answer in time" in waiting.json()["reasons"]["database"]
            for _ in range(5):
                assert site.chat("x", timeout=5).status == 200
                assert exchange(site.port, "GET", "/healthz", timeout=2).status == 200
        finally:
            server.resume()
        eventually(lambda: site.readiness().status == 200, timeout=30)


@pytest.mark.timeout(120)
def test_the_activity_of_an_outage_is_stored_once_when_it_ends_even_by_the_next_process(tmp_path, server):
    address = server.create_database()
    with Site(tmp_path, database=address, activity={"spool": str(tmp_path / "rows")}) as site:
        settle(site)
        server.kill()
        eventually(lambda: site.readiness().status == 503)
        missed = [site.chat("x") for _ in range(3)]
        assert [response.status for response in missed] == [200] * 3
        eventually(lambda: (tmp_path / "rows").exists())
        site.gateway.terminate()
        server.start()
        site.start()
        for response in missed:
            assert site.activity(response)["status"] == 200
        ids = [response.header("x-turnpike-request-id").removeprefix("req_") for response in missed]
        database = address.split("/")[3].split("?")[0]
        listed = ", ".join(f"0x{id}" for id in ids)
        assert server.execute(f"SELECT COUNT(*) FROM activity WHERE activity_id IN ({listed})", database) == [["3"]]


# What is done to a server, and how it is mended.
HARMS = {
    "kill": (MariaDB.kill, MariaDB.start),
    "pause": (MariaDB.pause, MariaDB.resume),
    "read_only": (lambda server: server.execute("SET GLOBAL read_only = ON"), lambda server: server.execute("SET GLOBAL read_only = OFF")),
}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("harm", HARMS)
def test_the_turns_of_an_outage_of_a_server_are_answered_and_stored_once_in_order(tmp_path, server, harm):
    # Who may do everything may also write to a server that is read-only.
    address, (begin, end) = server.create_database().replace("root@", "app@"), HARMS[harm]
    database = address.split("/")[3].split("?")[0]
    server.execute(f"CREATE USER IF NOT EXISTS app@localhost; GRANT ALL ON {database}.* TO app@localhost")
    with Site(tmp_path, database=address, spool={"commit_deadline": "300ms"}) as site:
        settle(site)
        conversations = [site.conversation() for _ in range(3)]
        for conversation in conversations:
            conversation.say("one")
        begin(server)
        for text, stream in [("two", False), ("three", True), ("four", False)]:
            for conversation in conversations:
                conversation.say(text, stream=stream, timeout=20)
        assert all(conversation.texts == ["one", "re: one", "two", "re: two", "three", "re: three", "four"]
                   for conversation in conversations)
        assert site.readiness().json()["spool"]["turns"] == 9
        end(server)
        # Turns that come while the others are stored stay behind them.
        for conversation in conversations:
            conversation.say("five", timeout=20)
        eventually(lambda: site.readiness().json()["spool"]["turns"] == 0, timeout=30)
        expected = [word for text in ["one", "two", "three", "four", "five"] for word in (text, f"re: {text}")]
        eventually(lambda: all(conversation.stored_texts == expected for conversation in conversations), timeout=30)
        assert server.execute("SELECT COUNT(*), COUNT(DISTINCT turn_id) FROM turns", database) == [["15", "15"]]


@pytest.mark.timeout(90)
@pytest.mark.parametrize("is_mariadb", [False, True])
def test_a_turn_waits_for_a_table_that_others_do_not_need(tmp_path, request, is_mariadb):
    server = request.getfixturevalue("server") if is_mariadb else None
    address = server.create_database() if server else None
    database = address.split("@/")[1].split("?")[0] if server else ""
    image = "data:image/png;base64," + "iVBORw0KGgo" * 20_000
    with Site(tmp_path, **({"database": address} if server else {})) as site:
        change = (lambda sql: server.execute(sql, database)) if server else (lambda sql: execute(site, sql))
        conversation, plain = site.conversation(), site.conversation()
        conversation.say("one")
        change("ALTER TABLE blobs RENAME TO away")
        parts = [{"type": "text", "text": "two"}, {"type": "image_url", "image_url": {"url": image}}]
        conversation.say([{"role": "user", "content": parts}])
        end = time.monotonic() + 24
        while time.monotonic() < end:
            plain.say("more")
            time.sleep(0.2)
        waiting = site.readiness().json()
        assert (waiting["spool"]["turns"], waiting["spool"]["dead_letters"]) == (1, 0)
        assert "missing: turnpike migrate" in waiting["problems"]["spool"][0]
        change("ALTER TABLE away RENAME TO blobs")
        eventually(lambda: site.readiness().json()["spool"]["turns"] == 0, timeout=15)
        assert len(conversation.stored) == 4


def test_why_the_database_cannot_be_used_is_said_without_our_own_words_and_with_what_to_do(tmp_path, server):
    address = server.create_database().replace("root@", "root:a-secret@")
    server.execute("ALTER USER root@localhost IDENTIFIED BY ''")
    reason = f"{server.socket}: the server refuses the user or the password, or it wants TLS (tls=verify) (1045)"
    with Site(tmp_path, database=address, until="/healthz") as site:
        told = eventually(lambda: site.readiness().json()["reasons"]["database"], lambda told: told != "not tried yet")
        assert told == reason
        with pytest.raises(AssertionError) as refused:
            run("migrate", "--config", site.gateway.config_path)
        assert f"turnpike: the database: {reason}" in str(refused.value)
        assert "a-secret" not in site.gateway.log


def test_which_server_of_a_list_is_used_is_logged_when_that_changes(tmp_path, server):
    """Two ways to one server, of which one is closed after the other."""
    name = server.create_database().split("/")[3].split("?")[0]
    server.execute("CREATE USER someone@'127.0.0.1' IDENTIFIED BY 'p'; GRANT ALL ON *.* TO someone@'127.0.0.1'")
    first, second = Balancer([server.port]), Balancer([server.port])
    moved = lambda way: f"The database is another host now. host=127.0.0.1:{way.port}"
    with Site(tmp_path, database=f"mariadb://someone:p@127.0.0.1:{first.port},127.0.0.1:{second.port}/{name}", until="/healthz") as site:
        with second:
            with first:
                eventually(lambda: site.readiness().status == 200)
                site.conversation().say("one")
                assert "another host" not in site.gateway.log, "the first one is what everybody expects"
            server.execute("KILL CONNECTION USER someone")
            eventually(lambda: moved(second) in site.gateway.log, timeout=15)
            eventually(lambda: site.readiness().status == 200)
        with first:
            server.execute("KILL CONNECTION USER someone")
            eventually(lambda: moved(first) in site.gateway.log, timeout=15)
            eventually(lambda: site.readiness().status == 200)
            site.conversation().say("two")
        assert site.gateway.log.count("another host") == 2, "once per change"
        site.gateway.stop()
        with second:
            site.start()
            # The first one is passed over.
            eventually(lambda: site.gateway.log.count(moved(second)) == 2)


@pytest.mark.timeout(90)
def test_a_message_that_is_larger_than_the_server_takes_costs_no_answer(tmp_path, server):
    server.execute("SET GLOBAL max_allowed_packet = 1048576")
    with Site(tmp_path, database=server.create_database()) as site:
        talk = site.conversation()
        talk.say("one")
        for stream in (False, True):
            refused = error_of(talk.try_to_say("x" * 1_100_000, stream=stream), 413, "turn_too_large")
            assert refused["param"] == "messages"
        image = lambda length: {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * length}}
        error_of(talk.try_to_say([{"role": "user", "content": [image(1_200_000)]}]), 413, "turn_too_large")
        system = lambda length: {"role": "system", "content": "s" * length}
        error_of(talk.try_to_say([system(1_100_000), said("x")]), 413, "turn_too_large")
        assert len(site.sent(talk.model)) == 1, "nobody paid for them"
        site.conversation().say([system(700_000), said("x")])
        too_long = {"role": "user", "content": "x" * 1_100_000}
        refused = site.send("POST", f"{SESSIONS}/{talk.session}/messages", too_long)
        error_of(refused, 413, "turn_too_large")
        assert refused.header("Retry-After") is None
        talk.answer(json_answer(chat.completion("seen")))
        talk.say([{"role": "user", "content": [image(700_000), image(700_001)]}])
        talk.answer(json_answer(chat.completion("y" * 1_200_000)))
        error_of(talk.try_to_say("a long answer"), 413, "turn_too_large")
        talk.answer(json_answer(chat.completion("short")))
        assert len(talk.stored) == 4
        server.execute("SET GLOBAL max_allowed_packet = 67108864")
        eventually(lambda: talk.try_to_say("x" * 1_100_000).status == 200, timeout=10)
        assert len(talk.stored) == 6
        # What is stored already may be sent again.
        server.execute("SET GLOBAL max_allowed_packet = 1048576")
        eventually(lambda: site.chat("x" * 1_100_000, headers=[("X-Session-ID", "another")]).status == 413, timeout=10)
        talk.say([*talk.stored, said("and now")])
        assert len(talk.stored) == 8


def test_what_a_server_has_for_all_sessions_does_not_reach_ours(tmp_path, server):
    address = server.create_database()
    database = address.split("@/")[1].split("?")[0]
    server.execute(f"CREATE USER common@localhost IDENTIFIED BY 'p'; GRANT ALL ON {database}.* TO common@localhost")
    server.execute("""
        SET GLOBAL init_connect = 'SET NAMES latin1'; SET GLOBAL sql_select_limit = 1; SET GLOBAL sql_safe_updates = 1;
        SET GLOBAL completion_type = 'RELEASE'; SET GLOBAL tx_read_only = 1; SET GLOBAL max_join_size = 1; SET GLOBAL sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES'""")
    with Site(tmp_path, database=address.replace("root@", "common:p@")) as site:
        talk = site.conversation()
        for text in ("\u00e9" * 150, "two", "three"):
            talk.say(text)
        assert talk.stored_texts == ["\u00e9" * 150, "re: " + "\u00e9" * 150, "two", "re: two", "three", "re: three"]
        assert site.send("PATCH", f"{SESSIONS}/{talk.session}", {"title": "\u00e9" * 150}).status == 200
        assert server.execute("SET sql_big_selects = 1; SELECT HEX(title) FROM sessions", database) == [["C3A9" * 150]]
        assert site.call("DELETE", f"{SESSIONS}/{quote(talk.session)}?purge=true").status in (200, 204)
