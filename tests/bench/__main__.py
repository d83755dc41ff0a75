"""``python -m tests.bench [ROW …]``: measure, tell, and write docs/benchmarks.md anew."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import django
from cryptography.fernet import Fernet

from tests.bench import databases, stage

NO_SERVER = "!!! NO POSTGRESQL REACHED: {name} WAS NOT MEASURED ON IT (set DATABASE_URL=postgres://…) !!!"


def main() -> int:
    """Measure what was asked for; status 1 when something could not be measured."""
    stage.end_in_good_order()
    given = os.environ.get("DATABASE_URL", "")
    os.environ.update(_environment("sqlite://:memory:"))
    django.setup()
    from tests.bench import report
    from tests.bench.listed import ROWS

    wanted = _arguments(list(ROWS))
    failed = 0
    for name in wanted.rows or ROWS:
        for vendor in wanted.on or databases.VENDORS:
            with databases.fresh(vendor, server=given) as url:
                if url is None:
                    sys.stdout.write(NO_SERVER.format(name=name) + "\n")
                    continue
                raw = _measure(name, url=url, scale=wanted.scale)
            if raw is None:
                failed += 1
                continue
            sys.stdout.write(report.tell(name, vendor=vendor, raw=raw) + "\n")
            sys.stdout.flush()
            report.keep(name, vendor=vendor, raw=raw, folder=wanted.out or report.FOLDER)
    if wanted.out is None:
        report.rewrite()
    return int(failed > 0)


def _arguments(names: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measures what the design promises.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"one or more of {', '.join(names)}; all by default")
    parser.add_argument("--on", action="append", choices=databases.VENDORS, help="only this database")
    parser.add_argument("--scale", choices=["full", "tiny"], default="full", help="tiny only shows that it runs")
    parser.add_argument("--out", type=Path, help="a folder for the raw figures; the document stays as it is then")
    wanted = parser.parse_args()
    if wanted.scale == "tiny" and wanted.out is None:
        parser.error("tiny figures mean nothing: say --out FOLDER")
    if unknown := sorted(set(wanted.rows) - set(names)):
        parser.error(f"no such row: {', '.join(unknown)}")
    return wanted


def _environment(url: str) -> dict[str, str]:
    """Return an installation's environment; nothing of a developer's own decides what is measured."""
    return {
        "DJANGO_SETTINGS_MODULE": "notify_platform.settings",
        "DATABASE_URL": url,
        "SECRET_KEY": "bench-only",
        "CREDENTIALS_KEYS": Fernet.generate_key().decode("ascii"),
        "WECHAT_API_BASE_URL": "http://127.0.0.1:9",
        "ALLOWED_HOSTS": "127.0.0.1",
        "PUBLIC_URL": "http://127.0.0.1:8000",
        "DEBUG": "False",
        "REDIS_URL": "",
        "CONN_MAX_AGE": "60",
        "LANGUAGE_CODE": "zh-hans",
        "LOG_LEVEL": "WARNING",
    }


def _measure(name: str, *, url: str, scale: str) -> dict[str, Any] | None:
    command = [sys.executable, "-m", "tests.bench.stage", name, scale]
    environment = {**os.environ, **_environment(url)}
    with subprocess.Popen(command, cwd=databases.ROOT, env=environment, stdout=subprocess.PIPE) as child:
        try:
            said, _nothing = child.communicate()
        except BaseException:
            # It has processes of its own to end.
            child.terminate()
            child.wait()
            raise
    if child.returncode:
        sys.stdout.write(f"!!! {name} could not be measured: see above !!!\n")
        return None
    raw: dict[str, Any] = json.loads(said)
    return raw


if __name__ == "__main__":
    sys.exit(main())
