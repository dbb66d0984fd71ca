"""The two back ends as the campaign needs them: run, harm, mend, and read without Turnpike."""
import contextlib
import json
import pathlib
import socket
import sqlite3
import subprocess
import threading
import time

from Crash import counters
from Crash.oracle import Message

ROOT = pathlib.Path(__file__).resolve().parents[2]
QUERY = """
SELECT u.name, s.external_id, m.seq, hex(m.turn_id), m.role, m.superseded_by_seq IS NOT NULL, hex(m.body), t.status
FROM messages m JOIN sessions s ON s.user_id = m.user_id AND s.session_id = m.session_id
JOIN users u ON u.user_id = m.user_id
LEFT JOIN turns t ON t.user_id = m.user_id AND t.session_id = m.session_id AND t.turn_id = m.turn_id
WHERE s.external_id LIKE '{prefix}%'
"""


def message(row):
    """A row of the query."""
    user, session, seq, turn, role, superseded, body, status = row
    value = json.loads(bytes.fromhex(body))
    return Message(user, session, int(seq), turn, value["role"], value["content"], bool(int(superseded)), status)


class SQLite:
    """A file. It has no process to kill; what harms it is another writer that keeps the lock."""

    name = "sqlite"

    def __init__(self, directory):
        self._path = directory / "turnpike.db"
        self.url = f"sqlite:{self._path}"

    def messages(self, prefix):
        """The stored messages of the sessions whose names begin so."""
        with contextlib.closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=10)) as connection:
            return [message(row) for row in connection.execute(QUERY.format(prefix=prefix))]

    def stall(self, seconds):
        """Nobody can commit for a while."""
        with contextlib.closing(sqlite3.connect(self._path, isolation_level=None, timeout=10)) as connection:
            with contextlib.suppress(sqlite3.OperationalError):
                connection.execute("BEGIN IMMEDIATE")
                time.sleep(seconds)
                connection.execute("ROLLBACK")

    def check(self):
        """The file itself is whole, and what is counted in it is there."""
        with contextlib.closing(sqlite3.connect(self._path, timeout=10)) as connection:
            found = connection.execute("PRAGMA integrity_check").fetchone()[0]
            damages = [] if found == "ok" else [f"the database file is damaged: {found}"]
            return damages + list(counters.faults(connection.execute))

    def close(self):
        """Nothing to end."""


class MariaDB:
    """A server of its own behind a proxy that can cut and hold connections."""

    name = "mariadb"

    def __init__(self, directory):
        self._directory = directory / "mariadb"
        self._server = subprocess.Popen(
            [ROOT / "scripts/mariadb-server", "--remove", self._directory], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, bufsize=1)
        self._expect("ready")
        self._lock = threading.Lock()
        self.query("CREATE DATABASE turnpike")
        self.proxy = Proxy(directory / "db.sock", self._directory / "s.sock")
        self.url = f"mariadb://root@/turnpike?socket={directory / 'db.sock'}&statement_timeout=1"

    def command(self, word, answer):
        """kill, start, stop, pause, resume."""
        with self._lock:
            self._server.stdin.write(f"{word}\n")
            self._expect(answer)

    def _expect(self, word):
        line = self._server.stdout.readline().strip()
        if line != word:
            raise AssertionError(f"the server said {line!r} instead of {word!r}")

    def query(self, statement, database=""):
        """Runs statements with the server's own client, past the proxy."""
        done = subprocess.run(
            ["mariadb", "--no-defaults", "-uroot", "-S", self._directory / "s.sock", "-N", "-B", database or "mysql",
             "-e", statement], capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise AssertionError(done.stderr)
        return [line.split("\t") for line in done.stdout.splitlines()]

    def messages(self, prefix):
        """The stored messages of the sessions whose names begin so."""
        return [message(row) for row in self.query(QUERY.format(prefix=prefix), "turnpike")]

    def stall(self, seconds):
        """Nobody's COMMIT is answered for a while."""
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            self.query(
                "BACKUP STAGE START; BACKUP STAGE BLOCK_COMMIT; "
                f"SELECT SLEEP({seconds}); BACKUP STAGE END", "turnpike")

    def check(self):
        """The tables are whole, and what is counted in them is there."""
        rows = self.query("CHECK TABLE messages, turns, sessions, session_sums", "turnpike")
        damages = [f"a table is damaged: {row}" for row in rows if row[2] != "status" or row[3] != "OK"]
        return damages + list(counters.faults(lambda query: self.query(query, "turnpike")))

    def close(self):
        """Ends the server, and its data."""
        self.proxy.close()
        self._server.stdin.close()
        self._server.wait(30)


class Proxy:
    """Stands between Turnpike and its database: can cut all connections, and hold what flows back."""

    def __init__(self, path, target):
        self._target, self._open, self._lock = str(target), set(), threading.Lock()
        self._flowing = threading.Event()
        self._flowing.set()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(128)
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        """Cuts every connection where it stands."""
        with self._lock:
            for end in self._open:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def cut_answers(self, seconds):
        """The server gets everything, its answers are held back, and then every connection is cut: no COMMIT is known
        to have happened."""
        self._flowing.clear()
        time.sleep(seconds)
        self.cut()
        self._flowing.set()

    def close(self):
        """Takes no more connections."""
        self._listener.close()
        self.cut()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self._target)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._open |= {client, server}
            threading.Thread(target=self._pump, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, True), daemon=True).start()

    def _pump(self, source, sink, is_answer):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if is_answer:
                    self._flowing.wait()
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open -= {source, sink}
        source.close()


