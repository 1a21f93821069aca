"""The GPU campaign.

Oracles: parts whose outcome is fixed (they succeed, fail or sleep), differences by hand.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts import gpu_campaign
from scripts.gpu_campaign import Options, Part

OUTCOMES = {
    "good": "open(r'{log}', 'a').write('x'); print('fine')",
    "bad": "print('first'); raise SystemExit('no such kernel')",
    "slow": "import time; time.sleep(60)",
}


def stand_ins(folder: Path, seconds: float = 20) -> list[Part]:
    """Return three parts; the good one appends to a file whenever it runs."""
    return [
        Part(
            name,
            1 if name == "slow" else seconds,
            ["-c", code.format(log=folder / "ran.txt")],
            lambda: {"value": 0.5},
        )
        for name, code in OUTCOMES.items()
    ]


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Options:
    monkeypatch.setattr(gpu_campaign, "parts", lambda options: stand_ins(tmp_path))
    monkeypatch.setattr(gpu_campaign, "GRACE_SECONDS", 0.1)
    return Options(tmp_path / "out", "cpu", True, 100.0)


def test_a_failed_part_and_a_slow_one_do_not_stop_the_rest(options: Options) -> None:
    summary = gpu_campaign.campaign(options)
    assert {name: entry["state"] for name, entry in summary.items()} == {
        "good": "done",
        "bad": "failed",
        "slow": "timed out",
    }
    assert summary["bad"]["reason"] == "no such kernel"
    assert summary["good"]["result"] == {"value": 0.5}
    assert json.loads((options.out / "summary.json").read_text()) == summary
    table = gpu_campaign.table(summary)
    assert "value 0.5" in table
    assert "no such kernel" in table


def test_a_second_call_skips_what_is_done(options: Options, tmp_path: Path) -> None:
    gpu_campaign.campaign(options, only=["good"])
    summary = gpu_campaign.campaign(options, only=["good", "bad"])
    assert (tmp_path / "ran.txt").read_text() == "x"
    assert summary["bad"]["state"] == "failed"
    assert "slow" not in summary


def test_without_time_a_part_is_recorded_as_not_run(options: Options) -> None:
    summary = gpu_campaign.campaign(options._replace(seconds=5.0), only=["good"])
    assert summary["good"]["state"] == "not run"


def test_trials_are_paired_by_their_seed(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    record = {"seeds": [0, 1, 7], "scores": {"accuracy": {"values": [0.70, 0.72, 0.60]}}}
    path.write_text(json.dumps(record))
    result = gpu_campaign.paired({"0": 0.71, "1": 0.716, "5": 0.1}, path)
    assert result["difference_to_cpu"] == pytest.approx(0.003)
    assert result["largest_difference"] == pytest.approx(0.01)
    assert result["within_tolerance"] is True
    assert gpu_campaign.paired({"7": 0.5}, path)["within_tolerance"] is False
    assert gpu_campaign.paired({}, path) == {}


def test_a_report_of_pytest_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "tests.xml"
    path.write_text(
        '<testsuites><testsuite tests="4" failures="1" errors="0" skipped="1">'
        '<testcase name="a"/><testcase name="b"/><testcase name="c"><skipped/></testcase>'
        '<testcase name="d"><failure message="first&#10;second"/></testcase>'
        "</testsuite></testsuites>"
    )
    result = gpu_campaign.read_tests(path)
    assert result == {"passed": 2, "skipped": 1, "failed": 1, "failures": {"d": "first"}}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "nothing"], "unknown part nothing"),
        (["--data", "nowhere"], "nowhere contains no folder cifar10"),
    ],
)
def test_a_wrong_request_is_one_sentence(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpu_campaign.main(["--out", str(tmp_path), *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_missing_package_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = {"json": "json", "no_such_module": "no-such-package"}
    monkeypatch.setattr(gpu_campaign, "MODULES", modules)
    assert gpu_campaign.main(["--out", str(tmp_path), "--toy"]) == 2
    assert capsys.readouterr().err == "gpu_campaign: install no-such-package first.\n"


def test_a_missing_gpu_is_named_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert gpu_campaign.main(["--out", str(tmp_path / "out"), "--toy"]) == 2
    assert "no CUDA device" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_toy_results_are_not_continued_at_full_size(
    options: Options, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_campaign, "campaign", lambda options, only: {})
    for name in ("FEWSHOT_DATA", "FEWSHOT_CACHE", "FEWSHOT_TEST_DEVICE"):
        monkeypatch.setenv(name, "")  # restored afterwards: the command sets all three
    (options.out / "data" / "cifar10").mkdir(parents=True)
    request = ["--out", str(options.out), "--data", str(options.out / "data"), "--device", "cpu"]
    assert gpu_campaign.main([*request, "--toy"]) == 0
    assert gpu_campaign.main([*request, "--toy"]) == 0
    assert gpu_campaign.main(request) == 2
    assert "name another --out" in capsys.readouterr().err


def test_the_time_boxes_fit_into_the_total(tmp_path: Path) -> None:
    boxes = [part.seconds for part in gpu_campaign.parts(Options(tmp_path, "cuda", False, 540.0))]
    assert sum(boxes) <= gpu_campaign.TOTAL_SECONDS - gpu_campaign.GRACE_SECONDS <= 540


def test_an_interrupted_campaign_stops_its_part(tmp_path: Path) -> None:
    child = "import os, time; open(r'{0}', 'w').write(str(os.getpid())); time.sleep(60)"
    code = (
        "import pathlib, signal\n"
        "from scripts import gpu_campaign\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        f"part = gpu_campaign.Part('slow', 60, ['-c', {child.format(tmp_path / 'pid')!r}], dict)\n"
        "gpu_campaign.parts = lambda options: [part]\n"
        "gpu_campaign.missing = lambda device: None\n"
        "raise SystemExit(gpu_campaign.main(['--out', str(folder / 'out'), '--toy']))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=gpu_campaign.ROOT)
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.terminate()
    assert process.wait(30) == 130
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.slow
def test_every_part_runs_at_toy_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FEWSHOT_DATA", "FEWSHOT_TEST_DEVICE"):
        monkeypatch.setenv(name, "")  # restored afterwards: the command sets both
    assert gpu_campaign.main(["--out", str(tmp_path), "--device", "cpu", "--toy"]) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert {entry["state"] for entry in summary.values()} == {"done"}
    records = {path.stem for path in (tmp_path / "records").glob("*.json")}
    runs, measurements = (
        {"probe", "protonet", "finetune", "fast", "accurate"},
        {"target", "episodes"},
    )
    assert records == {"prepare", *runs, *measurements}
    assert summary["episodes"]["result"]["tasks_per_second"]["5-way 1-shot"] > 0
    assert summary["fast"]["result"]["accuracy_without_views"] is not None
    assert len(json.loads((tmp_path / "records" / "target.json").read_text())["curve"]) > 0
