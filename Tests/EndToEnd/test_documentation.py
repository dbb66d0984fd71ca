"""The commands on the pages of docs/ work when they are pasted, one after the other."""
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.gateway import environment

DATABASES = "both"

DOCS = Path(__file__).resolve().parents[2] / "docs"
PROGRAMS = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}


@pytest.fixture(scope="module")
def site(open_site):
    return open_site()


@pytest.mark.parametrize("page", ["sessions.md"])
def test_the_commands_of_a_page_work(site, page):
    variables = {"TURNPIKE_URL": f"http://127.0.0.1:{site.port}", "TURNPIKE_KEY": site.key()}
    blocks = re.findall(r"^```(sh|python)\n(.*?)^```", (DOCS / page).read_text(), re.M | re.S)
    assert len(blocks) >= 3
    for language, block in blocks:
        done = subprocess.run([*PROGRAMS[language], block], env=environment(variables), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
    assert "curl" in os.pathsep.join(block for _, block in blocks)
