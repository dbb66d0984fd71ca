"""The short form of scripts/bench-history: that it measures, and that cuts keep prompt caches."""
import json
import subprocess
import sys
from pathlib import Path

from harness.gateway import binary, environment

BENCH = Path(__file__).resolve().parents[2] / "scripts/bench-history"


def run(*arguments):
    command = [sys.executable, str(BENCH), *arguments]
    return subprocess.run(command, env=environment({"TURNPIKE_BINARY": binary()}), capture_output=True, text=True, timeout=240)


def test_a_stable_cut_leaves_more_for_a_prompt_cache_than_a_rolling_window():
    done = run("--short", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    rolling, stable, budget = (row["reusable_share"] for row in found["cache"])
    assert rolling < 0.5 < stable and budget > 0.8
    assert [(row["stored"], row["sent"]) for row in found["cpu"]] == [
        (stored, sent) for stored in (20, 200, 2_000) for sent in ("only what is new", "the whole conversation")]
    assert all(0 < row["plain_us"] and 0 < row["session_us"] for row in found["cpu"])
    assert "2000 stored" in done.stderr


def test_its_help_states_the_rule():
    done = run("--help")
    assert done.returncode == 0 and "128 tokens" in done.stdout
