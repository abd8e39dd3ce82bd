"""Nights in processes of their own, which a test may kill: a parent that has imported all forks one for each.

``python -m tests.serving.nights`` reads a line of JSON jobs, runs them side by side, and writes a line with what
became of each: what the night returned, ``{"refused": ...}``, or ``{"killed": true}``. It never computes itself.
"""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
Told = dict[str, Any]


@dataclass
class Nights:
    """The parent, as a test sees it."""

    process: "subprocess.Popen[str]"

    @classmethod
    def start(cls) -> "Nights":
        command = [sys.executable, "-W", "ignore", "-m", "tests.serving.nights"]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return cls(process)

    def run(self, *jobs: Told) -> list[Told]:
        """Run nights side by side: ``home``, ``as_of``, and perhaps ``replace`` and ``kill_after_s``."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(jobs) + "\n")
        self.process.stdin.flush()
        told: list[Told] = json.loads(self.process.stdout.readline())
        return told

    def end(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


def _serve() -> None:
    import feature_repo.store  # noqa: F401  the night imports it late
    from serving.nightly import nightly  # noqa: F401

    for line in sys.stdin:
        started = [_fork(job) for job in json.loads(line)]
        print(json.dumps([_outcome(*one) for one in started]), flush=True)  # noqa: T201


def _fork(job: Told) -> tuple[Told, int, int]:
    """Start one night; its result comes through a pipe."""
    mine, its = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(mine)
        os.write(its, json.dumps(_night(job)).encode())
        os._exit(0)
    os.close(its)
    return job, pid, mine


def _outcome(job: Told, pid: int, pipe: int) -> Told:
    """Wait for one night, or kill it in time: nobody else waits for it, so the id is still its own."""
    started = time.monotonic()
    if "kill_after_s" in job:
        time.sleep(job["kill_after_s"])
        os.kill(pid, signal.SIGKILL)
    with os.fdopen(pipe, "rb") as told:
        said = told.read()
    os.waitpid(pid, 0)
    return json.loads(said) | {"seconds": time.monotonic() - started} if said else {"killed": True}


def _night(job: Told) -> Told:
    from features.errors import Refused
    from features.home import Home
    from serving.nightly import nightly
    from tests.serving import shop as told

    home = Home.open(Path(job["home"]))
    try:
        return nightly(home, job["as_of"], told.MACHINE_NOW, told.POLICY, replace=job.get("replace", False))
    except Refused as refused:
        return {"refused": str(refused)}


if __name__ == "__main__":
    _serve()
