"""Turnpike before the scripted upstream, started and killed as often as a campaign wants."""
import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request

from harness.gateway import HASH_KEY, binary, environment, run
from harness.ports import free_port

USERS = ["alice", "bob"]

# What it logs when it begins to believe its memory of sessions, and when it ends that (Services/SoleUseService.swift).
ALONE, NOT_ALONE = "This process is alone on the database", "versions of sessions are read again"


class Site:
    """One Turnpike on one database; the process comes and goes, the ports, keys and directories stay."""

    def __init__(self, directory, store, upstream_port, spool):
        self.directory, self.port, self.admin = directory, free_port(), free_port()
        self._process, self._began, self._config, self._log = None, 0, directory / "turnpike.yaml", directory / "turnpike.log"
        (directory / "hash.key").write_text(HASH_KEY)
        self._config.write_text(json.dumps({
            "server": {"host": "127.0.0.1", "port": self.port, "admin": f"127.0.0.1:{self.admin}", "threads": 2,
                       "drain_timeout": "2s"},
            "database": store.url, "auth": {"hash_key": f"file:{directory / 'hash.key'}"},
            "providers": {"scripted": {"base_url": f"http://127.0.0.1:{upstream_port}/v1"}},
            # A history is never cut: what the model was not told of is missing.
            "plugins": {"history": {"max_history_messages": 100_000, "default_context_window": 10_000_000}},
            "spool": {"directory": str(spool), "max_size": "16MB", "commit_deadline": "500ms"},
            # It says at this level whether it is alone.
            "log": {"level": "info"},
        }))
        self._drop_unknown_settings()

    def _drop_unknown_settings(self):
        """Settings that the program under test does not know; the campaign runs on every release."""
        for path in ("plugins.history.default_context_window", "spool"):
            done = subprocess.run([binary(), "check", "--config", self._config], capture_output=True, text=True)
            if done.returncode and f": {path}: unknown key" in done.stderr:
                settings = json.loads(self._config.read_text())
                *sections, key = path.split(".")
                section = settings
                for name in sections:
                    section = section[name]
                del section[key]
                self._config.write_text(json.dumps(settings))
        done = subprocess.run([binary(), "check", "--config", self._config], capture_output=True, text=True)
        if done.returncode:
            raise AssertionError(done.stderr)

    def make_keys(self):
        """A key for each user."""
        self.keys = {
            user: run("keys", "create", "--config", self._config, "--user", user, "--name", "k", "--create-user").strip()
            for user in USERS}

    def start(self, crash_at=None):
        """Starts the process and waits until it listens, or has come to `crash_at` before that."""
        variables = {"TURNPIKE_CRASH_AT": crash_at} if crash_at else {}
        with open(self._log, "ab") as log:
            self._began = log.tell()
            self._process = subprocess.Popen(
                [binary(), "serve", "--config", self._config], env=environment(variables), cwd=self.directory,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        self._await(
            lambda: self._status("healthz")[0] == 200 or (crash_at is not None and not self.runs), "listens")

    @property
    def runs(self):
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def believes(self):
        """Whether the process, or the one that was here last, took itself to be alone on the database when it logged last."""
        with open(self._log, "rb") as log:
            log.seek(self._began)
            said = log.read().decode(errors="replace")
        return said.rfind(ALONE) > said.rfind(NOT_ALONE)

    def await_belief(self, seconds):
        """Waits until it believes that, ends, or has not come to it for so long."""
        deadline = time.monotonic() + seconds
        while self.runs and not self.believes and time.monotonic() < deadline:
            time.sleep(0.02)

    def signal(self, number):
        """Sends a signal to the process, if it still runs."""
        if self.runs:
            os.kill(self._process.pid, number)

    def kill(self):
        """SIGKILL; waits until the process is gone."""
        self.signal(signal.SIGKILL)
        if self._process:
            self._process.wait()

    def stop(self):
        """SIGTERM; an orderly end must be one."""
        if not self.runs:
            return []
        self._process.terminate()
        try:
            status = self._process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
            return ["Turnpike did not end within 30 s of SIGTERM"]
        return [] if status == 0 else [f"Turnpike ended with status {status} after SIGTERM"]

    def recover(self):
        """Starts the process unless it runs, and waits until it is ready and nothing waits in its spool."""
        if not self.runs:
            self.start()
        self._await(self._is_drained, "is ready, with an empty spool")

    def _is_drained(self):
        status, body = self._status("readyz")
        if status != 200:
            return False
        return not json.loads(body).get("spool", {}).get("turns", 0)

    def dead_letters(self):
        """How many turns the spool has set aside."""
        return json.loads(self._status("readyz")[1]).get("spool", {}).get("dead_letters", 0)

    def _status(self, path):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{self.port}/{path}", timeout=5) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except (urllib.error.URLError, OSError):
            return 0, b""

    def _await(self, is_so, what, timeout=60):
        deadline = time.monotonic() + timeout
        while not is_so():
            if not self.runs:
                raise AssertionError(f"Turnpike ended by itself before it {what}:\n{self.log[-3000:]}")
            if time.monotonic() > deadline:
                raise AssertionError(f"within {timeout} s Turnpike never {what}: {self._status('readyz')}\n{self.log[-3000:]}")
            time.sleep(0.02)

    @property
    def log(self):
        """What it has logged."""
        with contextlib.suppress(OSError):
            return self._log.read_text(errors="replace")
        return ""
