"""A MariaDB server for the test run, and databases on it. It ends with this process, however that ends."""
import contextlib
import itertools
import subprocess
import tempfile
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[3] / "scripts/mariadb-server"


class MariaDB:
    """A server on a unix socket; with `port` on the loopback interface too. Use it as a context manager."""

    def __init__(self, port=None):
        # A socket's path has 107 bytes at most.
        root = tempfile.gettempdir()
        self.directory = Path(tempfile.mkdtemp(prefix="turnpike-", dir=root if len(root) <= 60 else "/tmp"))
        self.port, self._numbers = port, itertools.count(1)
        options = [f"--port={port}"] if port else []
        self._process = subprocess.Popen(
            [SCRIPT, "--remove", self.directory, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._expect("ready")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()

    @property
    def socket(self):
        """The path of its socket."""
        return self.directory / "s.sock"

    def kill(self):
        """SIGKILL; returns when the process is gone."""
        self._command("kill", "killed")

    def start(self):
        """Starts it again on the same data."""
        self._command("start", "ready")

    def pause(self):
        """Connections stay open and nothing answers."""
        self._command("pause", "paused")

    def resume(self):
        """Lets it go on."""
        self._command("resume", "resumed")

    def create_database(self):
        """A new, empty database; returns its address."""
        name = f"e2e_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return f"mariadb://root@/{name}?socket={self.socket}"

    def execute(self, sql, database=""):
        """Runs statements; returns the rows as lists of texts."""
        command = ["mariadb", "--no-defaults", "-uroot", "-S", self.socket, "-N", "-B", "-e", sql, *([database] if database else [])]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return [line.split("\t") for line in done.stdout.splitlines()]

    @contextlib.contextmanager
    def holding(self, begin, end, database=""):
        """What the statements `begin` take is held by a connection of its own, until those of `end` let it go."""
        command = ["mariadb", "--no-defaults", "-uroot", "-S", self.socket, "-N", "-B", "--unbuffered", *filter(None, [database])]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
            client.stdin.write(f"{begin}; SELECT 'held';\n")
            client.stdin.flush()
            assert client.stdout.readline().strip() == "held"
            try:
                yield
            finally:
                client.stdin.write(f"{end};\n")
                client.stdin.close()
                client.wait(30)

    def _command(self, word, answer):
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        self._expect(answer)

    def _expect(self, answer):
        line = self._process.stdout.readline().strip()
        assert line == answer, f"scripts/mariadb-server said “{line}” instead of “{answer}”; scripts/setup --test installs MariaDB"
