"""A process that has loaded the libraries and forks a command on request, without their import.

A kill while Python imports a library shows nothing, and an import takes seconds. This process is
the subreaper of what it starts, so no process that a command leaves behind can hide from it.
`python -m tests.campaign.launcher` reads one request a line and prints the process id, and then the
exit code, of one command after the other; see `kills.Launcher`.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import select
import signal
import sys
import traceback
from contextlib import suppress
from typing import Any, NoReturn

from fewshot.training import trainer

LOADED = (
    "fewshot.cli.main",
    "fewshot.runs.execution",
    "fewshot.runs.experiment",
    "fewshot.runs.episodic.experiment",
    "fewshot.studies.sweep",
    "fewshot.report.comparison",
    "sklearn.datasets",
    "sklearn.metrics",
    "torch._dynamo",
    "torch._inductor",
)
# What a command does to files, by the names of Python's audit events; `open` only for writing.
WRITES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink"}
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER


def main() -> None:
    """Serve requests until stdin ends."""
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    for module in LOADED:
        importlib.import_module(module)
    print("ready", flush=True)
    trainer.CHECKPOINT_SECONDS = 0.0  # every step writes one, so that each attempt meets some
    while line := _request():
        is_ready, ready = os.pipe()
        pid = os.fork()
        if pid == 0:
            _become(json.loads(line), ready)
        os.close(ready)
        os.read(is_ready, 1)
        os.close(is_ready)
        print(pid, flush=True)
        while True:  # orphans of the command end here too
            ended, status = os.wait()
            if ended == pid:
                break
        print(os.waitstatus_to_exitcode(status), flush=True)


def _request() -> bytes:
    """Return the next line of stdin, empty at its end; remove ended orphans until it comes.

    Ray's workers go on as long as the process that started them is there, ended or not.
    """
    while not select.select([0], [], [], 0.2)[0]:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    return sys.stdin.buffer.readline()


def _become(request: dict[str, Any], ready: int) -> NoReturn:
    """Turn this forked process into the command that was asked for; write to `ready` before."""
    os.setsid()
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        flags = os.O_RDONLY if name == "stdin" else os.O_WRONLY | os.O_CREAT | os.O_APPEND
        file = os.open(request[name], flags)
        os.dup2(file, number)
        os.close(file)
    os.chdir(request["folder"])
    os.environ.update(request["environment"])
    if not request["is_fewshot"]:
        os.write(ready, b"1")
        os.execvp(request["words"][0], request["words"])
    sys.argv = ["fewshot", *request["words"]]
    code: Any = 1
    try:
        from fewshot.cli.main import main as command

        signal.signal(signal.SIGTERM, signal.default_int_handler)
        os.write(ready, b"1")
        os.close(ready)
        _count_writes(request["writes_file"], request["ends_before_write"])
        command()
    except SystemExit as exit:
        code = exit.code
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
    sys.exit(code)  # the interpreter ends as it always does


def _count_writes(writes_file: str, last: int | None) -> None:
    """Count what the command does to files, and kill it just before one of these writes."""
    number = 0
    file = os.open(writes_file, os.O_WRONLY | os.O_CREAT)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal number
        if event == "open":
            if not isinstance(arguments[2], int) or not arguments[2] & (os.O_WRONLY | os.O_RDWR):
                return
        elif event not in WRITES:
            return
        number += 1
        if number == last:
            os.kill(os.getpid(), signal.SIGKILL)
        os.pwrite(file, str(number).encode(), 0)

    sys.addaudithook(watch)


if __name__ == "__main__":
    main()
