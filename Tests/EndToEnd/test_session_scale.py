"""What pages cost a user who has very much: a hundredth of what scripts/bench-sessions fills a database with."""
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/bench-sessions"
LINE = re.compile(r"^(\w+): ([\w ]+): (\d+), (\d+) rows shown, ([\d.]+) (?:steps|rows looked at), ", re.M)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["sqlite", "mariadb"])
def test_a_page_costs_what_it_shows_and_whoever_has_nothing_costs_nothing(kind):
    command = [sys.executable, SCRIPT, "--sessions", "1000", "--requests", "50", "--database", kind]
    output = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=110, check=True).stdout
    costs = {(user, page): (int(shown), float(cost)) for user, page, _, shown, cost in LINE.findall(output)}
    assert len(costs) == 9, output
    # What the activity log and the chores do meanwhile is counted too.
    others = 250 if kind == "sqlite" else 6
    for page in ("list of 50", "session", "last 50 messages"):
        shown, cost = costs["busy", page]
        # SQLite's steps are held against those for a user who owns no more than the page shows.
        least = costs["small", page][1] if kind == "sqlite" else shown
        assert shown == (1 if page == "session" else 50) and cost <= 2 * least + others, output
        nothing, cost = costs["nobody", page]
        assert nothing == 0 and cost <= others, output
    before, after = re.search(r"memory of the process: (\d+) MB before, (\d+) MB after", output).groups()
    assert int(after) - int(before) <= 16, output
