"""The pages of docs/, and the commands on them, done as a reader would."""
import functools
import re
import subprocess
from pathlib import Path

from harness.gateway import binary, environment

DOCS = Path(__file__).resolve().parents[3] / "docs"


def blocks(page, language):
    """The code of a page in a language, block by block."""
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no {language}"
    return found


@functools.cache
def error_statuses():
    """The status that docs/errors.md gives to each error code."""
    rows = re.findall(r"^\| `([a-z0-9_]+)` \| (\d+) \|", (DOCS / "errors.md").read_text(), re.MULTILINE)
    return {code: int(status) for code, status in rows}


def done(block, directory, **variables):
    """What a block of shell commands prints, run in a directory with `turnpike` in its PATH; fails unless all of them succeed."""
    programs = Path(directory) / "bin"
    programs.mkdir(exist_ok=True)
    if not (programs / "turnpike").exists():
        (programs / "turnpike").symlink_to(binary())
    variables = environment(variables)
    variables["PATH"] = f"{programs}:{variables['PATH']}"
    run = subprocess.run(["bash", "-euo", "pipefail", "-c", block], cwd=directory, env=variables, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, f"{block}\n{run.stdout}{run.stderr}"
    return run.stdout
