"""Put the served API to the test of its own contract: gunicorn on a database of its own, and schemathesis against it.

``python -m tests.fuzz SCHEMATHESIS […]`` with the path of its command; what follows is handed on. The database is
``DATABASE_URL``, which must be empty, or else a file that is thrown away.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import django
import requests

if TYPE_CHECKING:
    from tests.api.example_world import ExampleWorld

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PATIENCE_S = 30


def main(command: str, *options: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("DATABASE_URL", f"sqlite:///{folder}/fuzz.sqlite3")
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.fuzz.settings"
        django.setup()
        from django.core.management import call_command

        from notify_platform.simulator.server import start_simulator
        from tests import wechat_world
        from tests.api import example_world

        call_command("migrate", verbosity=0)
        world = example_world.build()
        with start_simulator() as simulator:
            wechat_world.introduce(simulator.control, world.mini_program, people=[world.person])
            with serving(wechat=simulator.url) as address:
                environment = {**os.environ, **told(world), "PYTHONPATH": str(HERE)}
                config = ["--config-file", str(HERE / "schemathesis.toml")]
                location = f"{address}/api/v1/schema"
                run = [str(Path(command).absolute()), *config, "run", location, "--checks", "all", *options]
                return subprocess.run(run, env=environment, cwd=folder, check=False).returncode


def told(world: ExampleWorld) -> dict[str, str]:
    """What the requests have to name, for ``hooks.py`` and ``schemathesis.toml``."""
    return {
        "FUZZ_TOKEN": world.token,
        "FUZZ_API_KEY": world.api_key,
        "FUZZ_APP_ID": world.mini_program.app_id,
        "FUZZ_NK": world.nk,
        "FUZZ_PROMPT_ID": world.prompt_id,
        "FUZZ_SCENE": world.mini_program.scenes.get().code,
        "FUZZ_TEMPLATE_ID": world.mini_program.templates.earliest("pk").wechat_id,
    }


@contextmanager
def serving(*, wechat: str) -> Iterator[str]:
    """Serve the platform on a free port until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        bind = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "gunicorn", "notify_platform.wsgi", "--bind", bind, "--workers", "2"]
    # tests.settings point nowhere; the simulator is somewhere.
    environment = {**os.environ, "FUZZ_WECHAT": wechat}
    # Addresses of any length: a 414 would be the server's own, in no envelope.
    command += ["--threads", "4", "--limit-request-line", "0", "--log-level", "warning"]
    server = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        wait_for(f"http://{bind}/healthz")
        yield f"http://{bind}"
    finally:
        server.terminate()
        server.wait(timeout=PATIENCE_S)


def wait_for(url: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            requests.get(url, timeout=1).raise_for_status()
            return
        except requests.RequestException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
