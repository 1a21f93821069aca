"""Folders that vanish, cannot be written, are files or have names that are too long.

Oracle: the results of the same command in its undisturbed folder.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.campaign import disk_victims, faults
from tests.campaign.conftest import Outcomes
from tests.campaign.disk_victims import victim
from tests.campaign.test_disk import Undisturbed, count_ending, undisturbed

NAMES = ("fit", "predict", "report", "check", "run probe on a folder", "sweep")


def test_a_folder_may_vanish_at_any_operation(
    tmp_path: Path,
    seed: int,
    amount: Callable[[int], int],
    outcomes: Callable[[str], Outcomes],
) -> None:
    rng = random.Random(seed)
    with outcomes("folders-vanish") as part:
        for name in NAMES:
            folder = tmp_path / name.replace(" ", "-")
            known, place = undisturbed(victim(name), folder), folder / "work"
            for _ in range(amount(12)):
                number = rng.randrange(len(known.operations))
                # What `check --fix` moved into `out` would be lost with it.
                folders = ["cache", "photos", "tmp", *(["out"] if name != "check" else [])]
                gone = place / rng.choice(folders)
                shutil.copytree(known.before, place, symlinks=True)
                fault = faults.Fault(place, number, "vanishes", gone=gone)
                ended = disk_victims.run(known.victim.arguments, place, fault)
                what = f"{name}: {gone.name} vanishes at {known.operations[number]}"
                _restore(known, place, gone)
                _count_vanished(part, what, known, place, ended)
                shutil.rmtree(place)
            shutil.rmtree(folder)


def _restore(known: Undisturbed, place: Path, gone: Path) -> None:
    """Put back what the command needed and did not make."""
    source = known.before / gone.name
    if source.is_dir():
        shutil.copytree(source, place / gone.name, symlinks=True, dirs_exist_ok=True)


def _count_vanished(
    part: Outcomes, what: str, known: Undisturbed, place: Path, ended: faults.Ended
) -> None:
    """Count an ending; a command that ended well may have lost files, and is then repeated."""
    if ended.code == 0 and disk_victims.outputs(known.victim, place) != known.results:
        ended = disk_victims.run(known.victim.arguments, place)
        what += ", and the command was repeated"
    count_ending(part, what, known, place, ended)


@pytest.mark.parametrize("code", ["file", "read-only"])
def test_no_folder_can_be_made_or_written(
    tmp_path: Path,
    amount: Callable[[int], int],
    outcomes: Callable[[str], Outcomes],
    code: str,
) -> None:
    if code == "read-only" and not faults.can_mount():
        pytest.skip("only root can mount a folder for reading alone")
    with outcomes(f"folders-{code}") as part:
        for name in NAMES[: amount(len(NAMES))]:
            folder = tmp_path / name.replace(" ", "-")
            known, place = undisturbed(victim(name), folder), folder / "work"
            made = {one.split(" ", 1)[1].strip("'") for one in known.operations if "mkdir" in one}
            for inner in sorted(made)[: amount(8)]:
                shutil.copytree(known.before, place, symlinks=True)
                (place / inner).parent.mkdir(parents=True, exist_ok=True)
                if (place / inner).exists():
                    shutil.rmtree(place)
                    continue
                if code == "file":
                    (place / inner).write_text("this is a file")
                    ended = disk_victims.run(known.victim.arguments, place)
                    (place / inner).unlink(missing_ok=True)
                else:
                    (place / inner).mkdir()
                    ended = _on_read_only(known, place, place / inner)
                count_ending(part, f"{name}: {inner} is {code}", known, place, ended)
                shutil.rmtree(place)
            shutil.rmtree(folder)


def _on_read_only(known: Undisturbed, place: Path, inner: Path) -> faults.Ended:
    """Run a command while a folder can only be read."""

    def work() -> list[object]:
        subprocess.run(["mount", "--bind", str(inner), str(inner)], check=True)
        subprocess.run(["mount", "-o", "remount,ro,bind", str(inner)], check=True)
        return list(disk_victims.run(known.victim.arguments, place))

    return faults.Ended(*faults.in_own_mounts(work))


PLACES = {  # with modes that lack permissions
    "photos": 0o000,
    "photos/red": 0o000,
    "photos/red/3.png": 0o000,
    "cache": 0o500,
    "tmp": 0o500,
    "out": 0o500,
    ".": 0o500,
    "study": 0o000,
    "runs": 0o000,
    "model.fewshot": 0o000,
}


def test_folders_and_files_without_permission(
    tmp_path: Path, amount: Callable[[int], int], outcomes: Callable[[str], Outcomes]
) -> None:
    with outcomes("folders-without-permission") as part:
        for one in disk_victims.VICTIMS[: amount(len(disk_victims.VICTIMS))]:
            folder = tmp_path / one.name.replace(" ", "-")
            known, place = undisturbed(one, folder), folder / "work"
            for name, mode in PLACES.items():
                shutil.copytree(known.before, place, symlinks=True)
                path = place / name
                if name in ("cache", "out"):
                    path.mkdir(exist_ok=True)
                # `check --fix` moves an image that cannot be read away.
                is_moved = one.name == "check" and path.is_file()
                if path.exists() and not is_moved:
                    _count_without_permission(part, known, place, path, mode)
                shutil.rmtree(place)
            shutil.rmtree(folder)


def _count_without_permission(
    part: Outcomes, known: Undisturbed, place: Path, path: Path, mode: int
) -> None:
    """Run a command while permissions are missing, and once more when they are not."""
    before = path.stat().st_mode
    path.chmod(mode)
    arguments = known.victim.arguments
    ended = disk_victims.run(arguments, place, before=faults.give_up_capabilities)
    path.chmod(before)
    inner = str(path.relative_to(place))
    what = f"{known.victim.name} without permission for {inner}"
    messages = ended.stdout + ended.stderr
    is_other = disk_victims.outputs(known.victim, place) != known.results
    if ended.code == 0 and is_other and path.name in messages:  # a result for the other images
        shutil.rmtree(place / "out")
        ended = disk_victims.run(arguments, place)
    if ended.code == 2 and "Invalid value" in messages and path.name in messages:  # in Typer's box
        ended = disk_victims.run(arguments, place)
    count_ending(part, what, known, place, ended)


@pytest.mark.parametrize("path", ["x" * 300, "/".join(["x" * 200] * 30)])
def test_a_path_that_is_too_long_is_one_sentence(tmp_path: Path, path: str) -> None:
    for name, option in (("run scratch", "--out"), ("run scratch", "--data"), ("fit", "--out")):
        place = tmp_path / "work"
        one = victim(name)
        disk_victims.prepare(one._replace(first=()), place)
        ended = disk_victims.run([*one.arguments, option, path], place)
        assert ended.code == 2, ended.stderr
        assert ended.stderr.startswith("fewshot: "), ended.stderr[:300]
        assert "Traceback" not in ended.stderr
        shutil.rmtree(place)
