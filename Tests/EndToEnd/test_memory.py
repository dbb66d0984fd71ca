"""Memory over many exchanges: the short form of scripts/soak."""
import pathlib
import subprocess
import sys

from harness.gateway import binary

SOAK = pathlib.Path(__file__).resolve().parents[2] / "scripts/soak"


def test_memory_does_not_grow_with_the_exchanges_served():
    # In so few exchanges memories that have a bound are still filling.
    done = subprocess.run(
        [sys.executable, SOAK, "--short", "--growth", "10", "--turnpike", binary()], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
