"""Several processes at once in one run folder, sweep, cache and output, and clocks that jump.

Oracle: the results of one process with a clock that goes on.
"""

from __future__ import annotations

import datetime as dates
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.campaign import disk_victims, faults
from tests.campaign.conftest import Outcomes
from tests.campaign.disk_victims import ENVIRONMENT, Victim, victim
from tests.campaign.test_disk import Undisturbed, difference, undisturbed

SHARED = ("predict", "fit", "run probe on a folder", "sweep", "episodes", "run scratch")
YEAR = 365 * 86_400.0
# What happens to the clock between the first and the second time that a command runs.
JUMPS = {"a year back": -YEAR, "a year on": YEAR, "to 1970": -time.time(), "to 2100": 74 * YEAR}
REFUSAL = "another process is writing"


def test_processes_at_once_do_what_one_does(
    tmp_path: Path, amount: Callable[[int], int], outcomes: Callable[[str], Outcomes]
) -> None:
    with outcomes("sharing") as part:
        for name in SHARED[: amount(len(SHARED))]:
            known = undisturbed(victim(name), tmp_path / "known")
            place = tmp_path / "known" / "work"
            for n in (2, 8):
                shutil.copytree(known.before, place, symlinks=True)
                began = os.times()
                running = [
                    faults.start(list(known.victim.arguments), place, None, ENVIRONMENT)
                    for _ in range(n)
                ]
                ended = [one.end() for one in running]
                used = os.times()
                seconds = sum(used[2:4]) - sum(began[2:4])
                part.figures[f"processor seconds of {n} at once, {name}"] = round(seconds, 1)
                _count_together(part, f"{name}, {n} at once", known.victim, place, ended)
                if disk_victims.outputs(known.victim, place) != known.results:
                    part.fail(f"{name}, {n} at once: {difference(known, place)}")
                if left := faults.unfinished(place):
                    part.fail(f"{name}, {n} at once: left behind: {left}")
                shutil.rmtree(place)
            shutil.rmtree(tmp_path / "known")


def test_two_versions_share_a_cache(
    tmp_path: Path, amount: Callable[[int], int], outcomes: Callable[[str], Outcomes]
) -> None:
    """Run a version that computes other features beside this one, at once and with one cache."""
    with outcomes("sharing-versions") as part:
        for name in ("run probe on a folder", "check")[: amount(2)]:
            folder = tmp_path / name.replace(" ", "-")
            known = undisturbed(victim(name), folder)
            expected = {}
            for version in VERSIONS:
                ended, expected[version] = _together(known, folder, [version], folder / version)[0]
                assert ended.code == 0, ended.stderr
            assert name == "check" or expected["this"] != expected["next"]
            for order in (["this", "next"] * 4, ["next", "this"]):  # the second finds all cached
                for version, (ended, results) in zip(
                    order, _together(known, folder, order, folder / "shared"), strict=True
                ):
                    if ended.code:
                        part.fail(f"{name}, {version} version: {ended.stderr.strip()[-300:]}")
                    elif results != expected[version]:
                        part.fail(f"{name}, {version} version: not as with a cache of its own")
                    else:
                        part.count("two versions and one cache: done, result identical")
            shutil.rmtree(folder)


def _together(
    known: Undisturbed, folder: Path, versions: Sequence[str], cache: Path
) -> list[tuple[faults.Ended, str]]:
    """Run a command of several versions at once with one cache; return their ends and results.

    The results are Python's text of them, without the place in which the command ran.
    """
    environment = {**ENVIRONMENT, "FEWSHOT_CACHE": str(cache)}
    places = [folder / str(number) / "work" for number in range(len(versions))]
    running = []
    for place, version in zip(places, versions, strict=True):
        shutil.copytree(known.before, place, symlinks=True)
        arguments = list(known.victim.arguments)
        running.append(faults.start(arguments, place, None, environment, VERSIONS[version]))
    ended = [one.end() for one in running]
    results = [
        repr(disk_victims.outputs(known.victim, place)).replace(str(place), "") for place in places
    ]
    for place in places:
        shutil.rmtree(place.parent)
    return list(zip(ended, results, strict=True))


def _be_the_next_version() -> None:
    """Change this process to a version with other features, and so with other names in caches."""
    from episodes.datasets.decoding import image_cache, planning
    from fewshot.checks import reading
    from fewshot.features import frozen

    for module in (planning, image_cache, frozen, reading):
        module.VERSION += 1  # type: ignore[attr-defined]
    extract = frozen.extract
    frozen.extract = lambda *arguments: extract(*arguments).abs().sqrt()


VERSIONS: dict[str, Callable[[], None]] = {"this": lambda: None, "next": _be_the_next_version}


def _count_together(
    part: Outcomes, what: str, one: Victim, place: Path, ended: list[faults.Ended]
) -> None:
    """Count how commands that ran at once ended; at least one must have done its work."""
    if all(end.code for end in ended):
        part.fail(f"{what}: none ended well: {ended[0].stderr.strip()[-300:]}")
    for end in ended:
        if end.code == 0:
            part.count("done, result identical")
        elif end.code == 2 and REFUSAL in end.stderr and one.name == "predict":
            part.count("refused in one sentence, because another process writes this output")
        else:
            part.fail(f"{what}: exit code {end.code}: {end.stderr.strip()[-300:]}")


def test_a_clock_may_jump(
    tmp_path: Path, amount: Callable[[int], int], outcomes: Callable[[str], Outcomes]
) -> None:
    with outcomes("clock") as part:
        for name in ("fit", "predict", "run probe on a folder", "sweep")[: amount(4)]:
            known = undisturbed(victim(name), tmp_path / "known")
            place = tmp_path / "known" / "work"
            for words, seconds in JUMPS.items():
                shutil.copytree(known.before, place, symlinks=True)
                _set_times(place, 0.0)
                arguments = list(known.victim.arguments)
                for jump in (0.0, seconds):  # before, and after: the second finds it all cached
                    _set_times(place, -jump)
                    ended = faults.command(arguments, place, None, ENVIRONMENT, _jump(jump))
                    if ended.code or disk_victims.outputs(known.victim, place) != known.results:
                        part.fail(f"{name}, clock {words}: {ended.stderr.strip()[-300:]}")
                    else:
                        part.count(f"clock {words}: done, result identical")
                shown = faults.command(["data", "--cache"], place, None, ENVIRONMENT, _jump(jump))
                if shown.code:
                    part.fail(f"data --cache, clock {words}: {shown.stderr.strip()[-300:]}")
                shutil.rmtree(place)
            shutil.rmtree(tmp_path / "known")


def _set_times(folder: Path, ahead: float) -> None:
    """Give all files below a folder a time that lies ahead of the clock by so many seconds."""
    for path in folder.rglob("*"):
        when = time.time() + ahead
        os.utime(path, (when, when), follow_symlinks=False)


def _jump(seconds: float) -> Callable[[], None]:
    """Return a function that lets the clocks of Python's libraries jump in a fork."""

    def apply() -> None:
        real, real_ns = time.time, time.time_ns
        time.time = lambda: real() + seconds
        time.time_ns = lambda: real_ns() + round(seconds * 1e9)

        class Shifted(dates.datetime):
            @classmethod
            def now(cls, tz: dates.tzinfo | None = None) -> dates.datetime:
                return dates.datetime.fromtimestamp(real() + seconds, tz)

        for name, module in list(sys.modules.items()):
            own = name.startswith(("fewshot.", "episodes."))
            if own and getattr(module, "datetime", None) is dates.datetime:
                module.datetime = Shifted  # type: ignore[attr-defined]

    return apply
