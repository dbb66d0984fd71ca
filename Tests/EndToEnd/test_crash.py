"""A short crash campaign on both back ends; scripts/crash-test --rounds 200 is the long one."""
import subprocess
import sys
from pathlib import Path

import pytest

from harness.gateway import binary

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/crash-test"


@pytest.mark.timeout(400)
def test_nothing_that_a_client_saw_is_lost_doubled_or_reordered_by_crashes():
    done = subprocess.run(
        [sys.executable, SCRIPT, "--rounds", "12", "--turnpike", binary()], capture_output=True, text=True, timeout=380)
    assert done.returncode == 0, done.stderr[-8000:] + done.stdout[-2000:]
    assert done.stdout.splitlines()[-1].endswith("passed: nothing lost, doubled or reordered")
