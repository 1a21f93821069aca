"""The forecast command on real records whose continuation is known."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import pytest

from fewshot.errors import UserError
from fewshot.report.forecasting import answer, learning_curve, report
from tests.fewshot.report.forecasting.curves import at, law
from tests.fewshot.report.handmade import content

ROOT = Path(__file__).parents[4]


LEARNERS = ROOT / "reports" / "records" / "learners"


def test_the_table_has_the_fewest_labels_first() -> None:
    rising, slow = law(0.85, 0.4, 0.5), law(0.8, 0.4, 0.4)
    result = [replace(one, method="slow") for one in slow] + rising + [at(4, (0.5,), "alone")]
    answers = [answer.answer(one, 0.75) for one in learning_curve.gather(result)]
    text = report.markdown(sorted(answers, key=report.order), 0.75)
    rows = [line.split("|")[1].split()[0] for line in text.splitlines() if line.startswith("|")][2:]
    assert rows == ["probe", "slow", "alone"]
    assert "labels for 0.75" in text
    assert "at 100" in text.splitlines()[2]
    assert "| not known |" in re.sub(" +", " ", text)


def forecast(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fewshot", "forecast", *map(str, words)],
        capture_output=True,
        text=True,
    )


def test_the_command_answers_from_real_records_in_two_seconds(tmp_path: Path) -> None:
    shown = [LEARNERS / f"probe-{shots}.json" for shots in (1, 2, 4, 8, 16)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = forecast(*shown, "--target", 0.7, "--at", "64,128", "--json")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2
    (result,) = json.loads(done.stdout)
    truth = {
        n: json.loads((LEARNERS / f"probe-{n}.json").read_text())["scores"]["accuracy"]["mean"]
        for n in (32, 64)
    }
    points = {point["labels"]: point for point in result["forecast"]}
    assert list(points) == [32, 64]  # 128 would be another preset
    for n, accuracy in truth.items():
        assert points[n]["low"] < accuracy < points[n]["high"]
    assert "no forecast beyond 100 labels per class" in result["words"]
    assert result["target"]["low"] < 32  # 0.7055 were measured there
    assert 16 < result["target"]["labels"] < 64


def test_figures_and_the_same_answer_twice(tmp_path: Path) -> None:
    places = [LEARNERS / f"probe-{shots}.json" for shots in (1, 2, 4, 8, 16)]
    text, (svg, pdf, png) = report.forecast(places, 0.8, [], tmp_path / "a", False)
    again, (other, *_) = report.forecast(places, 0.8, [], tmp_path / "b", False)
    assert text == again
    assert svg.read_bytes() == other.read_bytes()
    assert [path.suffix for path in (svg, pdf, png)] == [".svg", ".pdf", ".png"]
    assert svg.stem == pdf.stem == png.stem == "forecast-cifar10"
    assert "<!-- probe mini-resnet pretrained -->" in svg.read_text()
    assert matplotlib.image.imread(png).std() > 0.05


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            [LEARNERS, "--target", 90],
            "--target 90 is not between 0 and 1: write 90% as 0.9.",
        ),
        (
            [LEARNERS, "--at", "many"],
            "--at many: expected whole numbers of labels per class, as in --at 64,128.",
        ),
        ([LEARNERS, "--at", "0"], "--at 0: expected whole numbers"),
        (["nowhere"], "nowhere does not exist"),
    ],
)
def test_a_wrong_request_gets_a_sentence(words: list[object], message: str) -> None:
    done = forecast(*words)
    assert done.returncode == 2
    assert done.stderr.startswith("fewshot: ")
    assert message in done.stderr
    assert done.stdout == ""


def test_episodic_records_are_no_learning_curve(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text(json.dumps(content(regime="episodic")))
    with pytest.raises(UserError, match="never share a table"):
        report.forecast([tmp_path], 0.9, [], None, False)
