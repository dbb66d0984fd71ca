"""Requests made up from the API document, and whether each answer is one that the document promises.

Each run takes minutes in a debug build, so each has a file of its own, which runs beside the others.
"""
import json
import subprocess
import sys
from pathlib import Path

from harness.answers import json_answer
from harness.site import SESSIONS

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def site_to_fuzz(open_site):
    """A site whose upstream answers whatever may be asked for."""
    site = open_site()
    site.upstream.on("/v1/models", lambda request: json_answer({"object": "list", "data": []}))
    return site


def session_with_a_message(site):
    """Makes one; the parameters of paths that name it."""
    session = site.send("POST", SESSIONS, {"title": "fuzzed"}).json()["id"]
    assert site.send("POST", f"{SESSIONS}/{session}/messages", {"role": "user", "content": "x"}).status == 201
    return {"path.id": session, "path.message_id": 1}


def fuzz(site, directory, parameters, *options):
    """Runs schemathesis with a fixed seed on every operation; `parameters` stand for generated ones.

    Every schema's cases are tried on both databases; what is made up at random, the same on both, where the database is
    the stricter one.
    """
    phases = "coverage,fuzzing" if site.database else "coverage"
    config = directory / "schemathesis.toml"
    lines = [f"{json.dumps(name)} = {json.dumps(value)}" for name, value in parameters.items()]
    config.write_text("\n".join(["[parameters]", *lines]) if lines else "")
    command = [
        Path(sys.executable).parent / "schemathesis", "--config-file", config, "run", f"http://127.0.0.1:{site.port}/openapi.json",
        "-H", f"Authorization: {site.bearer()[1]}", "--checks", CHECKS, "--phases", phases, "-n", "3", "--seed", "1", "--no-color", *options,
    ]
    done = subprocess.run([str(part) for part in command], cwd=directory, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
