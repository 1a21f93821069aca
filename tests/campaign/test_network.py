"""Oracle: packets that the kernel counts, and the same commands with a network."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.campaign import black_hole
from tests.campaign.black_hole import Answer
from tests.campaign.conftest import Outcomes
from tests.fewshot.model import own_photos

QUICK = "--data digits --shots 3 --seeds 2 --set precision=float32"
SMALL = "--backbone conv4 --set backbone.options.width=8 --set train.steps=2"
EPISODES = "--data digits --split seed:0:5/0/5 --tasks 20"
# Each runs on a machine without a network as on one with it.
COMMANDS = f"""
--version
list
options protonet
data digits
data photos --image-size 32
data --cache
run --method probe {QUICK} --out probe
run --method scratch {QUICK} {SMALL} --out scratch
run --method finetune {QUICK} {SMALL} --preset random --out finetune --log tensorboard
run --method protonet {QUICK} --preset random {SMALL} --workers 2 --json
run --data photos --seeds 2
pretrain --data digits --backbone mlp --set train.steps=2 --set train.epochs=null --out pretrained
episodes --method lda {EPISODES} --backbone conv4
episodes --method protonet --train {EPISODES} {SMALL} --set learner.episode_ways=5
sweep studies --scale full --results results
report studies --scale full --results results --out reports
report probe scratch --out tables
inspect probe/?????????*
forecast probe
vote probe/?????????* scratch/?????????* --rule soft
check photos --page check.html
check photos --against new
suggest photos --budget 2
fit photos --method probe --out model.fewshot
show model.fewshot
predict model.fewshot new --out classes.csv
eval model.fewshot photos
add model.fewshot new --out added.fewshot
export model.fewshot --onnx model.onnx --check new
"""
# Each needs the network, and says so within WAITED_SECONDS: the time in which servers must answer.
NEEDING = """
run --data digits --shots 3 --seeds 1 --backbone resnet18 --weights pretrained
run --data digits --shots 3 --seeds 1 --backbone hf-hub:mia/a-network
run --data hf:ylecun/mnist --shots 1 --seeds 1
data hf:ylecun/mnist
data torchvision:Flowers102
predict hf:mia/pets new
show hf:mia/pets
export model.fewshot --out hf:mia/pets
"""
WAITED_SECONDS = 60
# Ray asks the servers that clouds have for their machines whether it is in a cloud. It has no
# switch for it, and reports it to nobody: with usage statistics off it sends no report.
OF_CLOUDS = {"169.254.169.254", "metadata.google.internal"}
_FOLDERS = re.compile(r"\S*/(inside|outside)\b")
_TIMES = re.compile(r"\d+(\.\d+)? ?(seconds?|minutes?|ms|MB|GB|KB|min|s)\b|\d{4}-\d\d-\d\d\S*")


def _lines(commands: str) -> list[list[str]]:
    return [line.split() for line in commands.strip().splitlines()]


@pytest.fixture(scope="module")
def black_hole_here() -> None:
    """Skip where the machine cannot make a network namespace."""
    reason = black_hole.reason_to_skip()
    if reason is not None:
        pytest.skip(reason)


def _prepared(folder: Path) -> Path:
    """Return a new folder with photos and a study of two cells."""
    folder.mkdir()
    own_photos.write(folder / "photos", {"red": 8, "green": 8})
    own_photos.write(folder / "new", {"red": 2}, first=50)
    row = {
        "title": "T", "question": "Q?", "source": "slide 1", "trials": 1, "seconds": 90,
        "base": {"method": "probe", "data": "digits", "shots": 4, "precision": "float32",
                 "backbone": {"name": "conv4"}},
        "grid": [{"learner.c": [0.1, 1.0]}],
    }  # fmt: skip
    (folder / "studies" / "one").mkdir(parents=True)
    (folder / "studies" / "one" / "X1.yaml").write_text(yaml.safe_dump(row, sort_keys=False))
    return folder


def _results(folder: Path) -> dict[str, Any]:
    """Return all records below a folder, without times, and all tables and predictions."""
    results: dict[str, Any] = {}
    for path in sorted(folder.rglob("record.json")):
        content = json.loads(path.read_text())
        scores = ("scores", "confusion", "correct", "accuracy", "run_id", "seeds", "indices")
        results[str(path.relative_to(folder))] = {key: content.get(key) for key in scores}
    for name in ("classes.csv", "check.html"):
        results[name] = _TIMES.sub("", (folder / name).read_text())
    return results


def _wrong(answer: Answer, usual: Answer) -> str | None:
    """Return what a command did wrong without a network; None if nothing."""
    if answer.sent or answer.asked:
        return "packets left this machine"
    if answer.listened:
        return "a process listened beyond this machine"
    if answer.code != usual.code or answer.code:
        return f"exit code {usual.code} with a network"
    if _words(answer.output) != _words(usual.output):
        return f"another output with a network:\n{answer.output}\n{usual.output}"
    return None


def _words(output: str) -> list[str]:
    """Return the words of an output without its numbers, some of which are times."""
    return re.findall(r"[A-Za-z]{3,}", _FOLDERS.sub("", output))


def _compare(
    part: Outcomes, answers: list[Answer], usual: list[Answer], here: Path, there: Path
) -> None:
    """Count how commands ended in the black hole, in folder `here`, and with a network."""
    for answer, other in zip(answers, usual, strict=True):
        wrong = _wrong(answer, other)
        if wrong is None:
            part.count("same result, no packet sent")
        else:
            part.fail(f"{wrong}: {answer}")
    if _results(here) != _results(there):
        part.fail("records, tables or predictions differ from those with a network")
    part.figures["packets sent"] = sum(len(answer.sent) for answer in answers)
    part.figures["seconds without a network"] = round(sum(one.seconds for one in answers), 1)
    part.figures["seconds with one"] = round(sum(one.seconds for one in usual), 1)


def test_no_command_needs_or_asks_for_the_network(
    outcomes: Callable[[str], Outcomes], tmp_path: Path, black_hole_here: None
) -> None:
    commands = _lines(COMMANDS)
    with outcomes("network-commands") as part:
        here, there = _prepared(tmp_path / "inside"), _prepared(tmp_path / "outside")
        answers = black_hole.run(commands, here)
        usual = black_hole.run(commands, there, outside=True)
        _compare(part, answers, usual, here, there)


def test_a_sweep_in_ray_stays_on_this_machine(
    outcomes: Callable[[str], Outcomes], tmp_path: Path, black_hole_here: None
) -> None:
    pytest.importorskip("ray")
    with outcomes("network-ray") as part:
        sweep = ["sweep", "studies", "--scale", "full", "--workers", "2", "--results", "results"]
        (answer,) = black_hole.run([sweep], _prepared(tmp_path / "inside"))
        wrong = None
        if answer.code or set(answer.sent) - OF_CLOUDS:
            wrong = "packets left this machine"
        elif answer.listened:
            wrong = "a process listened beyond this machine"
        if wrong is None:
            part.count("done, nothing but questions to a cloud's own server sent")
        else:
            part.fail(f"{wrong}: {answer}")
        part.figures["questions to a cloud's own server"] = len(answer.sent)


def test_what_needs_the_network_says_so_in_a_sentence(
    outcomes: Callable[[str], Outcomes], tmp_path: Path, black_hole_here: None
) -> None:
    with outcomes("network-needed") as part:
        folder = _prepared(tmp_path / "inside")
        commands = [
            ["fit", "photos", "--method", "probe", "--out", "model.fewshot"],
            *_lines(NEEDING),
        ]
        first, *answers = black_hole.run(commands, folder)
        assert first.code == 0, str(first)
        for answer in answers:
            sentence = answer.messages.strip().splitlines()[-1:]
            if answer.code != 2 or not sentence or not sentence[0].startswith("fewshot: "):
                part.fail(f"no message: {answer}")
            elif answer.seconds > WAITED_SECONDS:
                part.fail(f"{answer.seconds:.0f} seconds: {answer}")
            else:
                part.count("exit code 2, one sentence")
        part.figures["most seconds"] = round(max(answer.seconds for answer in answers), 1)
