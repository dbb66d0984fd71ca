"""A short crash campaign on both back ends; scripts/crash-test --rounds 200 is the long one."""
import os
import re
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.gateway import binary

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts/crash-test"


@pytest.mark.timeout(400)
def test_nothing_that_a_client_saw_is_lost_doubled_or_reordered_by_crashes():
    done = subprocess.run(
        [sys.executable, SCRIPT, "--rounds", "12", "--turnpike", binary()], capture_output=True, text=True, timeout=380)
    assert done.returncode == 0, done.stderr[-8000:] + done.stdout[-2000:]
    verdict = done.stdout.splitlines()[-1]
    assert verdict.endswith("passed: nothing lost, doubled or reordered")
    assert "left out" not in verdict, "a fault needs the right to mount a small file system"
    alone = dict(re.findall(r"(\w+): 12 rounds, (\d+) of them hit while alone", verdict))
    assert alone.keys() == {"sqlite", "mariadb"} and all(int(rounds) > 0 for rounds in alone.values()), verdict


@pytest.mark.parametrize("arguments, path, what", [
    (["--turnpike", "/nonexistent"], None, "there is no program"),
    (["--turnpike", "/bin/false"], None, "sqlite: "),
    (["--rounds", "0"], None, "at least 1"),
    (["--backend", "mariadb"], "/nonexistent", "mariadb: "),
])
def test_a_campaign_that_cannot_be_run_is_no_loss(arguments, path, what):
    command = [sys.executable, SCRIPT, "--turnpike", binary(), *arguments]
    variables = {**os.environ, "PATH": path or os.environ["PATH"]}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert what in done.stderr and "Traceback" not in done.stderr


def test_a_campaign_in_which_nobody_saw_an_end_shows_nothing():
    loader = SourceFileLoader("crash_test", str(SCRIPT))
    script = module_from_spec(spec_from_loader("crash_test", loader))
    loader.exec_module(script)
    campaign = script.Campaign("sqlite", 0, 0)
    campaign.store, campaign.has_small_disk = SimpleNamespace(name="sqlite", check=list), False
    campaign.site = SimpleNamespace(stop=list)
    assert campaign.run()["found"] == ["this shows nothing: no client saw the end of a turn"]


def test_the_campaign_knows_every_point_of_the_commit_path():
    source = (ROOT / "Sources/Persistence/Faults/CrashPoint.swift").read_text()
    named = set(re.findall(r'case \w+ = "([a-z-]+)"', source))
    listed = re.findall(r"_POINTS = \[(.*?)\]", (ROOT / "Tests/Crash/faults.py").read_text(), re.S)
    assert named == {point for points in listed for point in re.findall(r'"([a-z-]+)"', points)}


def test_scripts_that_use_a_site_need_no_packages_of_the_tests():
    program = "import sys; sys.path.insert(0, sys.argv[1]); import harness.site, harness.database, harness.balancer"
    command = [sys.executable, "-S", "-c", program, ROOT / "Tests/EndToEnd"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
