"""Turnpike as a process: started with a configuration, awaited until it is ready, ended by its process id."""
import json
import os
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from harness.ports import free_port

HASH_KEY = "scripted-hash-key-of-the-end-to-end-tests\n"
CREDENTIALS = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY")


class NotReady(Exception):
    """The process ended, or did not become ready in time. The message holds its log."""


def binary():
    """The program under test: TURNPIKE_BINARY, or else the debug build of this repository."""
    built = Path(__file__).resolve().parents[3] / ".build/debug/turnpike"
    return os.environ.get("TURNPIKE_BINARY", str(built))


def environment(variables=None):
    """Our environment without what would send a test's requests elsewhere, and with `variables`."""
    kept = {name: value for name, value in os.environ.items() if name not in CREDENTIALS}
    return {**kept, **(variables or {})}


class Process:
    """A server process. Its output goes to a file, which `log` reads and failure reports show."""

    def __init__(self, arguments, ready_url, directory, start_timeout=20, variables=None):
        self.log_path = Path(directory) / "process.log"
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(
                [str(argument) for argument in arguments], cwd=directory, env=environment(variables),
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )
        try:
            self._wait_until_ready(ready_url, start_timeout)
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self):
        """The process id."""
        return self._process.pid

    @property
    def log(self):
        """Everything that the process has printed so far."""
        return self.log_path.read_text(errors="replace")

    def terminate(self, timeout=20):
        """Asks the process to end (SIGTERM) and returns its exit status; kills it and fails when it does not end."""
        self._process.terminate()
        return self.wait(timeout)

    def wait(self, timeout=20):
        """The exit status of a process that was asked to end; kills it and fails when it does not."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running {timeout} s after it was asked to end:\n{self.log}")

    def kill(self):
        """Ends the process without notice (SIGKILL)."""
        self._process.kill()
        self._process.wait()

    def stop(self):
        """Ends the process if it still runs, and returns its exit status."""
        return self._process.returncode if self._process.poll() is not None else self.terminate()

    def _wait_until_ready(self, url, timeout):
        deadline = time.monotonic() + timeout
        while not answers(url):
            if self._process.poll() is not None:
                raise NotReady(f"ended with status {self._process.returncode} before it was ready:\n{self.log}")
            if time.monotonic() > deadline:
                raise NotReady(f"not ready within {timeout} s:\n{self.log}")
            time.sleep(0.02)


def answers(url):
    """Whether `url` answers with a 2xx status. Certificates are not looked at."""
    anyone = urllib.request.HTTPSHandler(context=ssl._create_unverified_context())
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), anyone)
    try:
        with direct.open(url, timeout=2) as response:
            return 200 <= response.status < 300
    except (urllib.error.URLError, OSError):
        return False


class Gateway(Process):
    """`turnpike serve` on free ports, with a SQLite database in `directory`.

    `settings` are top-level keys of the configuration that replace or add to the defaults here. It is awaited until
    the path `until` answers: /healthz for one that is not to become ready. `variables` add to its environment.
    """

    def __init__(self, directory, providers, models=None, until="/readyz", variables=None, **settings):
        self.directory, self.port, self.admin_port = Path(directory), free_port(), free_port()
        self.config_path = self.directory / "turnpike.yaml"
        (self.directory / "hash.key").write_text(HASH_KEY)
        self.config_path.write_text(json.dumps(self._configuration(providers, models, settings), indent=2))
        arguments = [binary(), "serve", "--config", self.config_path]
        self.scheme = "https" if settings.get("server", {}).get("tls") else "http"
        super().__init__(arguments, f"{self.scheme}://127.0.0.1:{self.port}{until}", directory, variables=variables)

    @property
    def base_url(self):
        """What an SDK calls its base URL."""
        return f"{self.scheme}://127.0.0.1:{self.port}/v1"

    def create_key(self, user="alice", name="laptop", *options):
        """A new key of `user`, who is created where missing."""
        arguments = ["keys", "create", "--config", self.config_path, "--user", user, "--name", name, "--create-user"]
        return run(*arguments, *options).strip()

    def _configuration(self, providers, models, settings):
        """The configuration, as JSON, which is YAML too."""
        server = {"host": "127.0.0.1", "port": self.port, "admin": f"127.0.0.1:{self.admin_port}"}
        defaults = {
            "database": f"sqlite:{self.directory / 'turnpike.db'}",
            "auth": {"hash_key": f"file:{self.directory / 'hash.key'}"},
            "providers": providers,
            "models": models or {"*": {"provider": next(iter(providers))}},
        }
        return {**defaults, **settings, "server": {**server, **settings.get("server", {})}}


class Demo(Process):
    """`turnpike demo` on a free port, with its data in `directory`; `variables` add to its environment."""

    def __init__(self, directory, **variables):
        self.port = free_port()
        arguments = [binary(), "demo", "--port", self.port, "--data", directory]
        super().__init__(arguments, f"http://127.0.0.1:{self.port}/readyz", directory, variables=variables)

    @property
    def base_url(self):
        """What an SDK calls its base URL."""
        return f"http://127.0.0.1:{self.port}/v1"


def run(*arguments, timeout=30):
    """Runs a command of turnpike to its end and returns what it printed on stdout; fails unless it succeeds."""
    command = [binary(), *(str(argument) for argument in arguments)]
    done = subprocess.run(
        command, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
    )
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command[1:])} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
