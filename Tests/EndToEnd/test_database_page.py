"""What docs/database.md tells operators to do, done: its SQL, its backup, its restore."""
import os
import re
import subprocess

import pytest

from harness.client import exchange
from harness.database import MariaDB
from harness.pages import blocks
from harness.site import Site
from harness.waiting import eventually

PAGE = "database.md"


@pytest.fixture(scope="module")
def server():
    """A server of its own, because the page's database has a fixed name."""
    with MariaDB() as server:
        for statement in blocks(PAGE, "sql"):
            server.execute(statement)
        yield server


@pytest.fixture(scope="module")
def site(open_site, server):
    return open_site(database=f"mariadb://turnpike:choose-another@/turnpike?socket={server.socket}")


def run(commands, server, directory):
    """Runs the page's commands as an operator whose ~/.my.cnf names the server."""
    (directory / ".my.cnf").write_text(f"[client]\nuser=root\nsocket={server.socket}\n")
    subprocess.run(commands, shell=True, check=True, cwd=directory, env={**os.environ, "HOME": str(directory)}, timeout=120)


def test_the_rights_of_the_page_suffice(site):
    talk = site.conversation()
    for number in range(3):
        talk.say(f"turn {number}")
    assert len(talk.texts) == 5


def test_turns_that_wait_for_a_right_are_a_problem_until_it_is_given(open_site, server):
    server.execute("""
        CREATE DATABASE lacking CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
        CREATE USER lacking@localhost IDENTIFIED BY 'p'; GRANT ALL ON lacking.* TO lacking@localhost""")
    site = open_site(database=f"mariadb://lacking:p@/lacking?socket={server.socket}")
    told = lambda: site.readiness().json()
    counted = lambda: re.findall(r'^turnpike_problems\{part="spool"\} (\d)', exchange(site.gateway.admin_port, "GET", "/metrics").body.decode(), re.M)
    talk = site.conversation()
    talk.say("one")
    assert counted() == ["0"]
    server.execute("REVOKE INSERT ON lacking.* FROM lacking@localhost")
    server.execute("KILL CONNECTION USER lacking")
    talk.say("two")
    problem = "the database refuses turns, which wait: a right is missing: GRANT in docs/database.md (1142)"
    eventually(lambda: told().get("problems"), lambda problems: problems == {"spool": [problem]}, timeout=15)
    assert told()["spool"]["turns"] == 1 and counted() == ["1"]
    server.execute("GRANT ALL ON lacking.* TO lacking@localhost")
    server.execute("KILL CONNECTION USER lacking")
    eventually(lambda: told()["spool"]["turns"] == 0, timeout=15)
    assert "problems" not in told() and counted() == ["0"]
    eventually(lambda: "The spool is empty again." in site.gateway.log)
    assert "The spool waits for the database." in site.gateway.log and site.gateway.log.count("The spool is empty again.") == 1
    assert talk.stored_texts == ["one", "re: one", "two", "re: two"]


def test_a_backup_that_is_restored_goes_on_with_the_conversations(site, server, tmp_path):
    talk = site.conversation()
    talk.say("before")
    dump, restore = blocks(PAGE, "sh")
    run(dump, server, tmp_path)
    talk.say("after")
    run(restore, server, tmp_path)
    (tmp_path / "restored").mkdir()
    # Its hash key is the same file's content.
    restored = Site(tmp_path / "restored", database=f"mariadb://root@/turnpike_restored?socket={server.socket}")
    key = site.key()
    with restored:
        restored._keys["alice"] = key
        again = restored.conversation(talk.session, model=talk.model)
        again.say("and now")
        assert again.texts == ["before", "re: before", "and now"]
    assert talk.stored_texts == ["before", "re: before", "after", "re: after"]


def test_a_setting_that_breaks_the_promise_is_told(open_site, server):
    address = server.create_database()
    server.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 2")
    site = open_site(database=address)
    assert site.readiness().status == 200
    assert "innodb_flush_log_at_trx_commit is 2" in site.readiness().json()["problems"]["database"][0]
    assert "innodb_flush_log_at_trx_commit is 2" in site.gateway.log
    server.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
    assert "problems" not in open_site(database=server.create_database()).readiness().json()
