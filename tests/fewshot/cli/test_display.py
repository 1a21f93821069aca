"""Oracle: lines on stderr, written out by hand, under a clock that the test sets."""

from __future__ import annotations

import io
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import typer

from fewshot import progress
from fewshot.cli import display


def test_lines_of_progress_are_some_seconds_apart(monkeypatch, capsys) -> None:
    seconds = iter([100.0, 101.0, 104.9, 105.1, 106.0])
    monkeypatch.setattr(display.time, "monotonic", lambda: next(seconds))
    with display.work(quiet=False):
        for step in range(5):
            progress.update(f"step {step}")
    assert capsys.readouterr().err == "step 0\nstep 3\n"


def test_quiet_and_follower_processes_show_no_progress(monkeypatch, capsys) -> None:
    with display.work(quiet=True):
        progress.update("step 1")
    monkeypatch.setenv("RANK", "1")
    assert display.is_follower()
    with display.work(quiet=False):
        progress.update("step 2")
    assert capsys.readouterr().err == ""


def test_ctrl_c_is_one_line_and_code_130(capsys) -> None:
    with pytest.raises(typer.Exit) as exit_info, display.work(quiet=True):
        raise KeyboardInterrupt
    assert exit_info.value.exit_code == 130
    assert capsys.readouterr().err == "fewshot: interrupted; the same command resumes.\n"


def test_messages_of_the_logger_go_to_stderr_once(capsys) -> None:
    display.install_log_handler()
    display.install_log_handler()
    logging.getLogger("fewshot").warning("the cache is full")
    assert capsys.readouterr().err == "the cache is full\n"


def test_control_characters_of_names_do_not_reach_the_terminal(capsys) -> None:
    display.install_log_handler()
    logging.getLogger("fewshot").warning("skipped %s", "a\x1b[2J\nb.png")
    with display.work(quiet=False):
        progress.update("c\x1b]0;title\x07")
    assert capsys.readouterr().err == "skipped a\ufffd[2J\ufffdb.png\nc\ufffd]0;title\ufffd\n"


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-8", "caf\ufffd 猫 ± ≤ ok\n"),
        ("ascii", "caf? ? +- <= ok\n"),
        ("cp1252", "caf? ? ± <= ok\n"),
        ("latin-1", "caf? ? ± <= ok\n"),
        ("shift-jis", "caf? 猫 ± <= ok\n"),
    ],
)
def test_text_that_an_encoding_lacks_is_replaced(
    encoding: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    monkeypatch.setattr(display.sys, "stdout", stream)
    display.never_fail_to_print()
    print("caf\udce9 猫 ± ≤ ok", flush=True)
    assert stream.buffer.getvalue() == expected.encode(encoding)


def test_ctrl_c_in_the_body_of_a_class_is_ctrl_c(capsys) -> None:
    class Interrupted:
        def __set_name__(self, owner: type, name: str) -> None:
            raise KeyboardInterrupt

    with pytest.raises(typer.Exit) as exit_info, display.work(quiet=True):
        type("Imported", (), {"field": Interrupted()})
    assert exit_info.value.exit_code == 130
    assert "interrupted" in capsys.readouterr().err
    with pytest.raises(RuntimeError), display.work(quiet=True):
        raise RuntimeError("a fault of ours")


@pytest.fixture
def signals() -> Iterator[None]:
    """Put back what the two signals do."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_termination_is_one_line_and_code_130_like_ctrl_c(number: int, signals, capsys) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    display.take_termination_as_ctrl_c()
    with pytest.raises(typer.Exit) as exit_info, display.work(quiet=True):
        signal.raise_signal(number)
    assert exit_info.value.exit_code == 130
    assert capsys.readouterr().err == "fewshot: interrupted; the same command resumes.\n"


def test_a_command_under_nohup_goes_on_without_its_terminal(signals) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    display.take_termination_as_ctrl_c()
    signal.raise_signal(signal.SIGHUP)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_at_the_end_of_python_does_not_change_the_exit_code(number: int) -> None:
    code = (
        "import atexit, signal\n"
        "from fewshot.cli import display\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
        "display.take_termination_as_ctrl_c()\n"
        f"atexit.register(signal.raise_signal, {int(number)})\n"
        "display.ignore_signals_at_exit()\n"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (0, "")


def test_ctrl_c_while_an_object_is_removed_is_not_lost(monkeypatch) -> None:
    class Interrupted:
        def __del__(self) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    display.never_lose_an_interruption()
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - it is raised later
        Interrupted()
        time.sleep(10)
