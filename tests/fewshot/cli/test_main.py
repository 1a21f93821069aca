"""Oracle: the exit codes of the design, messages written by hand, and what Python loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from fewshot.errors import Diverged
from tests.fewshot.cli.command import RUN, fewshot

HEAVY = (
    "torch",
    "pandas",
    "sklearn",
    "matplotlib",
    "timm",
    "torchvision",
    "pyarrow",
    "scipy",
    "numpy",
)
COMMANDS = [
    "",
    "example",
    "run",
    "pretrain",
    "list",
    "options",
    "data",
    "sweep",
    "report",
    "inspect",
    "forecast",
    "vote",
    "predict",
]


def test_help_of_every_command_imports_nothing_heavy() -> None:
    code = f"""
import sys
from fewshot.cli import main
for command in {COMMANDS!r}:
    sys.argv = ["fewshot", *command.split(), "--help"]
    try:
        main.main()
    except SystemExit as exit:
        assert not exit.code, command
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert process.stdout.count("Usage") == len(COMMANDS)
    assert process.stderr.strip() == "[]"


def test_a_real_process_ends_with_code_2_and_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fewshot", "run"]
    process = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert process.returncode == 2
    assert process.stderr.splitlines()[-1].startswith("fewshot: no label budget was named")
    assert "Traceback" not in process.stderr


def test_the_version_is_that_of_the_installed_package(monkeypatch, capsys) -> None:
    assert fewshot("--version", monkeypatch) == 0
    assert capsys.readouterr().out == f"fewshot {metadata.version('fewshot')}\n"


@pytest.mark.parametrize(("before", "after"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_idle_threads_sleep_unless_the_environment_decides_otherwise(
    before, after, monkeypatch
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY")
    if before is not None:
        monkeypatch.setenv("OMP_WAIT_POLICY", before)
    assert fewshot("--help", monkeypatch) == 0
    assert os.environ["OMP_WAIT_POLICY"] == after


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("run --method protonte --shots 4", "unknown method 'protonte': did you mean 'protonet'?"),
        ("run --method probe", "no label budget was named"),
        ("run --method probe --set shotz=3", "unknown key 'shotz': did you mean 'shots'?"),
        ("run --data digits --test 3", "a share of the images between 0 and 1"),
        ("run --data digits --test 0.2 --folds 3", "--test names some: use one"),
        ("run --data digits --folds 3", "digits has a test part"),
        ("run --method probe --shots 4 --fraction 0.1", "exactly one of shots, fraction and full"),
        (
            f"{RUN} --method scratch --set train.stepz=3",
            "unknown key 'train.stepz': did you mean 'train.steps'?",
        ),
        (
            f"{RUN} --method scratch --set trian.steps=3",
            "unknown key 'trian': did you mean 'train'?",
        ),
        (
            f"{RUN} --method scratch --set train.steps=many",
            "'train.steps' should be a valid integer",
        ),
        (f"{RUN} --method scratch --set learner.hidden=[a]", "learner.hidden"),
        (f"{RUN} --method scratch --set train", "expected key=value"),
        (f"{RUN} --method probe --set train.steps=3", "'probe' is not trained"),
        (f"{RUN} --method probe --preset fast", "'probe' has no preset 'fast'"),
        (f"{RUN} --method probe --backbone resnet19", "did you mean 'resnet18'?"),
        (f"{RUN} --method probe --config nowhere.yaml", "nowhere.yaml does not exist"),
        ("run --method probe --data digits --shots 400", "only 1"),
        (
            "run --method probe --data digits --fraction 1.5",
            "'fraction' should be less than or equal to 1",
        ),
        ("run --method probe --data no-such-set --shots 4", "no-such-set"),
        (f"{RUN} --method probe --seeds none", "--seeds none"),
        (f"{RUN} --method probe --device cuda:7", "cuda:7"),
        (f"{RUN} --method probe --device tpu", "'tpu'"),
        ("report nowhere", "nowhere does not exist"),
        ("options protonte", "unknown method 'protonte': did you mean 'protonet'?"),
        ("data no-such-set", "no-such-set"),
        ("data", "give either the name of a data set"),
        ("data --clear", "--clear removes what --cache shows"),
        ("data digits --clear", "--clear removes what --cache shows"),
        ("data digits --cache", "give either the name of a data set"),
        ("predict run images", "images cannot be read as a folder of images"),
    ],
)
def test_bad_input_gets_one_sentence_and_code_2(
    arguments, message, monkeypatch, tmp_path, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    assert fewshot(arguments, monkeypatch) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.strip().splitlines()[-1].startswith("fewshot: ")
    assert "Traceback" not in printed.err
    assert printed.out == ""
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (Diverged("the loss is not finite"), 1, "fewshot: the loss is not finite\n"),
        (KeyboardInterrupt(), 130, "fewshot: interrupted; the same command resumes.\n"),
        (
            OSError(28, "No space left on device", "runs/a.json"),
            2,
            "fewshot: runs/a.json cannot be read or written (No space left on device): free some "
            "space, check the permissions, or name another folder (--out for results, "
            "FEWSHOT_CACHE for the cache).\n",
        ),
    ],
)
def test_a_failed_and_an_interrupted_run_have_their_own_codes(
    error, code, line, monkeypatch, capsys
) -> None:
    from fewshot.runs import experiment

    def fail(*args: object, **keywords: object) -> None:
        raise error

    monkeypatch.setattr(experiment, "run", fail)
    assert fewshot(f"{RUN} --method probe", monkeypatch) == code
    assert capsys.readouterr().err == line


@pytest.mark.parametrize(
    ("allocate", "memory"),
    [
        (lambda: torch.empty(2**50), "computer"),
        (lambda: bytearray(2**60), "computer"),
        (Mock(side_effect=torch.OutOfMemoryError("CUDA out of memory.")), "GPU"),
    ],
)
def test_too_little_memory_is_one_sentence(allocate, memory, monkeypatch, capsys) -> None:
    from fewshot.runs import experiment

    monkeypatch.setattr(experiment, "run", lambda *arguments, **keywords: allocate())
    assert fewshot(f"{RUN} --method probe", monkeypatch) == 1
    assert capsys.readouterr().err.startswith(f"fewshot: the memory of the {memory} was not enough")


def test_the_message_about_an_unwritable_folder_names_it(monkeypatch, tmp_path, capsys) -> None:
    (tmp_path / "file").write_text("")
    assert fewshot(f"{RUN} --method probe --out {tmp_path}/file/runs", monkeypatch) == 2
    assert f"{tmp_path}/file/runs" in capsys.readouterr().err
    monkeypatch.setenv("FEWSHOT_CACHE", f"{tmp_path}/file/cache")
    assert fewshot(f"{RUN} --method probe --out {tmp_path}/runs", monkeypatch) == 2
    assert f"{tmp_path}/file/cache" in capsys.readouterr().err


def test_a_wrong_size_of_the_cache_is_an_error_before_work_starts(
    monkeypatch, tmp_path, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEWSHOT_CACHE_GB", "lots")
    assert fewshot(f"{RUN} --method probe", monkeypatch) == 2
    assert "FEWSHOT_CACHE_GB is 'lots'" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_the_commands_are_listed_without_reading_the_settings() -> None:
    code = "import sys, fewshot.cli.main; print({'pydantic', 'yaml'} & sys.modules.keys())"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.stdout.strip() == "set()", process.stderr


def test_control_characters_of_a_path_do_not_reach_the_terminal(capsys, monkeypatch) -> None:
    from fewshot.cli import main

    monkeypatch.setattr("sys.argv", ["fewshot", "show", "no\x1b]0;title\x07\nmodel"])
    with pytest.raises(SystemExit):
        main.main()
    error = capsys.readouterr().err
    assert "\x1b" not in error
    assert "\x07" not in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_changes_neither_the_exit_code_nor_what_the_others_get(closed: str) -> None:
    command = f"{sys.executable} -m fewshot sweep nowhere {closed}"
    process = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert process.returncode == 2
    assert process.stdout == ""
    lines = process.stderr.splitlines()
    assert lines == [] if "2>" in closed else lines[0].startswith("fewshot: nowhere holds no study")


def test_a_working_directory_that_was_removed_is_one_sentence(tmp_path: Path) -> None:
    command = f"rmdir {tmp_path} && {sys.executable} -m fewshot list"
    process = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert process.returncode == 2
    assert process.stderr == (
        "fewshot: the working directory was removed: change to another (cd).\n"
    )
    tmp_path.mkdir()
