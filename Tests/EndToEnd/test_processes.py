"""Starting, awaiting and ending a server process, tried on a small one in Python."""
import json
import sys

import pytest

from harness.gateway import NotReady, Process
from harness.ports import free_port

SERVER = """
import http.server, signal, sys
class Handler(http.server.BaseHTTPRequestHandler):
    asked = 0
    def do_GET(self):
        Handler.asked += 1
        self.send_response(200 if Handler.asked > 2 else 503)
        self.end_headers()
signal.signal(signal.SIGTERM, signal.SIG_IGN if "deaf" in sys.argv else lambda *_: sys.exit(7))
print("the port is", sys.argv[1], flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


class SmallServer(Process):
    """Answers /readyz with 503 twice, then with 200; ends with status 7 on SIGTERM unless it is deaf."""

    def __init__(self, directory, *flags, start_timeout=20):
        self.port = free_port()
        arguments = [sys.executable, "-c", SERVER, self.port, *flags]
        super().__init__(arguments, f"http://127.0.0.1:{self.port}/readyz", directory, start_timeout)


def test_waits_until_the_process_is_ready_and_ends_it_by_its_id(start_process):
    server = start_process(SmallServer)
    assert f"the port is {server.port}" in server.log
    assert server.terminate() == 7
    assert server.stop() == 7


def test_a_process_that_ends_at_once_is_reported_with_its_log(tmp_path):
    with pytest.raises(NotReady, match="status 3(.|\n)*no such luck"):
        Process([sys.executable, "-c", "print('no such luck'); exit(3)"], "http://127.0.0.1:9/readyz", tmp_path)


def test_a_process_that_never_gets_ready_is_ended(tmp_path):
    with pytest.raises(NotReady, match="not ready within 0.5 s(.|\n)*still here"):
        command = "import signal; print('still here', flush=True); signal.pause()"
        Process([sys.executable, "-c", command], "http://127.0.0.1:9/readyz", tmp_path, start_timeout=0.5)


def test_a_process_that_ignores_sigterm_is_killed_and_fails_the_test(tmp_path):
    server = SmallServer(tmp_path, "deaf")
    with pytest.raises(AssertionError, match="still running"):
        server.terminate(timeout=0.3)
    assert server.stop() == -9


TURNPIKE = f"""#!{sys.executable}
import json, sys
command, options = sys.argv[1], dict(zip(sys.argv[2::2], sys.argv[3::2]))
if command == "keys":
    print("tp-key", *sys.argv[2:])
    sys.exit("unheard user" if "nobody" in sys.argv else 0)
server = json.load(open(options["--config"]))["server"] if command == "serve" else {{"port": options["--port"]}}
sys.argv[1:] = [str(server["port"])]
""" + SERVER


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A program with the command line of turnpike, in its place."""
    path = tmp_path / "turnpike"
    path.write_text(TURNPIKE)
    path.chmod(0o755)
    monkeypatch.setenv("TURNPIKE_BINARY", str(path))


def test_a_gateway_gets_a_configuration_that_names_the_scripted_upstream(stand_in, start_gateway, upstream):
    gateway = start_gateway(flags={"history": False}, server={"drain_timeout": 1})
    configuration = json.loads(gateway.config_path.read_text())
    assert configuration["providers"]["scripted"]["base_url"] == upstream.url
    assert configuration["models"] == {"*": {"provider": "scripted"}}
    assert configuration["flags"] == {"history": False}
    assert configuration["server"]["port"] == gateway.port and configuration["server"]["drain_timeout"] == 1
    assert gateway.stop() == 7


def test_a_key_is_what_the_command_prints(stand_in, gateway):
    assert gateway.create_key("bob").startswith(f"tp-key create --config {gateway.config_path} --user bob")
    with pytest.raises(AssertionError, match="unheard user"):
        gateway.create_key("nobody")


def test_a_demo_starts_on_a_free_port(stand_in, demo):
    assert f"the port is {demo.port}" in demo.log
