"""scripts/optimise around BOLT: how it ends. What it makes of a program is what all other tests of a release run on."""
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/optimise"
# It is told to end when BOLT has written its program.
TOLD_TO_END = """
import importlib.machinery, importlib.util, os, signal, sys
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("script", sys.argv[1])
script = importlib.util.module_from_spec(importlib.util.spec_from_loader("script", loader))
loader.exec_module(script)
def optimise(program, output):
    output.write_text("unchecked")
    os.kill(os.getpid(), signal.SIGTERM)
script.optimise = optimise
sys.exit(script.main(sys.argv[2:]))
"""


def run(*command):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)


def test_when_it_is_told_to_end_it_leaves_nothing(tmp_path):
    output = tmp_path / "output"
    assert run(sys.executable, "-c", TOLD_TO_END, SCRIPT, tmp_path / "program", output).returncode == 143
    assert not output.exists()


def test_wrong_usage_is_explained_on_stderr():
    done = run(SCRIPT, "one")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "optimise: usage: scripts/optimise PROGRAM OUTPUT\n"
