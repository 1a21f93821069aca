"""Disks that fail at every operation, or are full, under every command that writes.

Oracle: the results of the same command on a disk without faults.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.campaign import disk_victims, faults
from tests.campaign.conftest import Outcomes
from tests.campaign.disk_victims import VICTIMS, Victim

CODES = ("full", "broken", "read-only")


class Undisturbed(NamedTuple):
    """A command's folder before it runs, its operations, and its results without faults."""

    victim: Victim
    before: Path
    operations: list[str]
    results: dict[str, object]


def undisturbed(victim: Victim, folder: Path) -> Undisturbed:
    """Run a command without faults, in the place where it will run with them.

    It runs twice, because the first run also fills caches of other libraries, such as matplotlib's
    list of fonts, and the numbers of all later operations would be others.
    """
    before, place = folder / "before", folder / "work"
    disk_victims.prepare(victim, place)
    shutil.copytree(place, before, symlinks=True)
    disk_victims.run(victim.arguments, place, faults.Fault(place))
    shutil.rmtree(place)
    shutil.copytree(before, place, symlinks=True)
    ended = disk_victims.run(victim.arguments, place, faults.Fault(place))
    assert ended.code == 0, f"{victim.name}: {ended.stderr}"
    results = disk_victims.outputs(victim, place)
    assert results, f"{victim.name} made nothing"
    shutil.rmtree(place)
    return Undisturbed(victim, before, ended.operations, results)


def faults_of(
    known: Undisturbed, place: Path, n: int, rng: random.Random
) -> Iterator[faults.Fault]:
    """Yield so many faults of a command, or one at each of its operations if there are fewer."""
    total = len(known.operations)
    numbers = sorted(rng.sample(range(total), min(n, total)))
    for number in numbers:
        yield faults.Fault(place, number, rng.choice(CODES), rng.random() < 0.5)


def test_every_operation_may_fail(
    tmp_path: Path,
    seed: int,
    amount: Callable[[int], int],
    outcomes: Callable[[str], Outcomes],
) -> None:
    rng = random.Random(seed)
    with outcomes("disk-operations") as part:
        for victim in VICTIMS:
            folder = tmp_path / victim.name.replace(" ", "-")
            known, place = undisturbed(victim, folder), folder / "work"
            for fault in faults_of(known, place, amount(len(known.operations)), rng):
                shutil.copytree(known.before, place, symlinks=True)
                ended = disk_victims.run(victim.arguments, place, fault)
                last = "from there on" if fault.lasting else "once"
                what = f"{victim.name}, {known.operations[fault.number]} {fault.code} {last}"
                count_ending(part, what, known, place, ended)
                shutil.rmtree(place)
            shutil.rmtree(folder)


def count_ending(
    part: Outcomes, what: str, known: Undisturbed, place: Path, ended: faults.Ended
) -> None:
    """Count how a command with a fault ended, and compare what it makes when repeated without."""
    victim = known.victim
    complaint = ended.complaint()
    if ended.code == 1 and victim.name == "sweep" and "Traceback" not in ended.stderr:
        reasons = [line for line in ended.stderr.splitlines() if ": failed, " in line]
        complaint = None if reasons and not any("Error: " in one for one in reasons) else complaint
    if complaint is None and ended.code == 0:
        if disk_victims.outputs(victim, place) != known.results:
            complaint = f"exit code 0, but {difference(known, place)}"
    elif complaint is None:
        again = disk_victims.run(victim.arguments, place)
        if again.code:
            complaint = f"repeated: {again.stderr.strip()[-300:]}"
        elif disk_victims.outputs(victim, place) != known.results:
            complaint = f"repeated: {difference(known, place)}"
    if complaint is None and (left := faults.unfinished(place)):
        complaint = f"left behind: {left}"
    if complaint is not None:
        part.fail(f"{what}: {complaint}")
    elif ended.code == 0:
        part.count("done without it, result identical")
    elif ended.code == 1:
        part.count("exit code 1, failed cells with a reason each; repeated, result identical")
    else:
        part.count("exit code 2, one sentence; repeated, result identical")


def difference(known: Undisturbed, place: Path) -> str:
    made = disk_victims.outputs(known.victim, place)
    names = [
        name
        for name in made.keys() | known.results.keys()
        if made.get(name) != known.results.get(name)
    ]
    return f"other results in {sorted(names)[:3]}"


@pytest.fixture(scope="module")
def own_mounts() -> None:
    """Skip where the system lets us mount nothing."""
    if not faults.can_mount():
        pytest.skip("only root can mount a small disk")


@pytest.mark.usefixtures("own_mounts")
def test_the_disk_fills_up_at_any_byte(
    tmp_path: Path,
    seed: int,
    amount: Callable[[int], int],
    outcomes: Callable[[str], Outcomes],
) -> None:
    with outcomes("disk-full") as part:
        for victim in VICTIMS:
            folder = tmp_path / victim.name.replace(" ", "-")
            folder.mkdir()
            own = Outcomes(part.part, seed)
            counted = faults.in_own_mounts(
                lambda folder=folder, victim=victim, own=own: _fill(
                    victim, folder, own, random.Random(f"{seed} {victim.name}"), amount(12)
                )
            )
            for outcome, n in counted["counts"].items():
                part.counts[outcome] = part.counts.get(outcome, 0) + n
            part.failures += counted["failures"]


def _fill(
    victim: Victim, folder: Path, part: Outcomes, rng: random.Random, n: int
) -> dict[str, object]:
    """Run a command on disks of so many random sizes that are too small, and count."""
    disk = folder / "disk"
    faults.mount(disk, "size=512m")
    known, place = undisturbed(victim, disk), disk / "work"
    before = shutil.copytree(known.before, folder / "before", symlinks=True)
    known = known._replace(before=before)
    faults.unmount(disk)
    faults.mount(disk, "size=512m")
    shutil.copytree(before, place, symlinks=True)
    first = shutil.disk_usage(disk).used
    assert disk_victims.run(victim.arguments, place).code == 0
    most = shutil.disk_usage(disk).used
    for _ in range(n):
        faults.unmount(disk)
        size = rng.randrange(first, most, 4096)
        faults.mount(disk, "size=512m")
        shutil.copytree(before, place, symlinks=True)
        faults.mount(disk, f"remount,size={size}")
        ended = disk_victims.run(victim.arguments, place)
        faults.mount(disk, "remount,size=512m")
        what = f"{victim.name} on a disk of {size:,} bytes ({first:,} to {most:,})"
        count_ending(part, what, known, place, ended)
    faults.unmount(disk)
    return {"counts": part.counts, "failures": part.failures}
