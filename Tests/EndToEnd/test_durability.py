"""A system-call trace: what makes a turn durable comes before the end of its answer is written to the client."""
import re
import sqlite3
import subprocess

import pytest

from harness.site import Site
from harness.waiting import eventually

CALLS = "trace=write,writev,sendto,sendmsg,fsync,fdatasync,pwrite64,openat"
FINISH = r'finish_reason\\":\\?\s*\\"stop'


class Trace:
    """strace on a running process, for the time of a `with` block; `lines` are its calls in order."""

    def __init__(self, site):
        self._file, self._pid = site.directory / "trace", site.gateway.pid

    def __enter__(self):
        arguments = ["strace", "-f", "-y", "-s", "65536", "-e", CALLS, "-o", self._file, "-p", str(self._pid)]
        self._strace = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        assert "attached" in self._strace.stderr.readline()
        return self

    def __exit__(self, *_):
        self._strace.terminate()
        self._strace.wait(20)
        self.lines = self._file.read_text(errors="replace").splitlines()

    def first(self, pattern, after=0):
        """The number of the first line from `after` on that matches."""
        found = next((number for number, line in enumerate(self.lines) if number >= after and re.search(pattern, line)), None)
        assert found is not None, (pattern, [line[:200] for line in self.lines])
        return found

    def end_of_answer(self, text):
        """Where the end of an answer is written to a client's socket."""
        return self.first(r"(?:write|writev|sendto|sendmsg)\(\d+<(?:socket|TCP)[^>]*>.*" + text)

    def synced(self, call, path, after):
        """Where the first sync of a file that begins behind a line has returned: in the line of its call, or in the one that
        resumes it."""
        begun = self.first(rf"(?:{call})\(\d+<[^>]*{path}[^>]*>", after)
        line = self.lines[begun]
        if "unfinished" not in line:
            return begun
        return self.first(rf"^{line.split()[0]} .*<\.\.\. (?:{call}) resumed", begun)


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path, spool={"commit_deadline": "200ms"}) as site:
        site.key()
        yield site


@pytest.mark.parametrize("stream", [False, True])
def test_a_committed_turn_is_synced_before_its_end_is_written(site, stream):
    conversation = site.conversation()
    conversation.say("one")
    with Trace(site) as trace:
        conversation.say("the turn", stream=stream)
    end = trace.end_of_answer("re: the turn" if not stream else "stop")
    # Others sync this file too: the activity log, for one.
    written = trace.first(r"pwrite64\(\d+<[^>]*db-wal>.*the turn")
    assert trace.synced("fdatasync|fsync", r"turnpike\.db-wal", written) < end


@pytest.mark.parametrize("stream", [False, True])
def test_a_spooled_turn_is_synced_before_its_end_is_written(site, stream):
    conversation = site.conversation()
    conversation.say("one")
    connection = sqlite3.connect(site.directory / "turnpike.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    conversation.say("before")
    with Trace(site) as trace:
        conversation.say("the turn", stream=stream)
    connection.execute("ROLLBACK")
    connection.close()
    end = trace.end_of_answer("re: the turn" if not stream else "stop")
    written = trace.first(r"pwrite64\(\d+<[^>]*\.segment>.*the turn")
    assert trace.synced("fdatasync", r"\.segment", written) < end
    eventually(lambda: len(conversation.stored) == 6, timeout=20)
