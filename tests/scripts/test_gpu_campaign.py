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

from scripts import gpu_campaign, gpu_grid, gpu_parts
from scripts.gpu_parts import Options, Part

OUTCOMES = {
    "good": "open(r'{log}', 'a').write('x'); print('fine')",
    "bad": "print('first'); raise SystemExit('no such kernel')",
    "slow": "import time; time.sleep(60)",
    "long": "raise SystemExit({unfinished})",
}
NAMES = list(OUTCOMES)


def stand_ins(folder: Path, seconds: float = 20) -> list[Part]:
    """Return a part for each outcome; the good one appends to a file whenever it runs."""
    values = {"log": folder / "ran.txt", "unfinished": gpu_grid.UNFINISHED}
    return [
        Part(
            name,
            1 if name == "slow" else seconds,
            ["-c", code.format(**values)],
            lambda: {"value": 0.5},
        )
        for name, code in OUTCOMES.items()
    ]


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Options:
    monkeypatch.setattr(gpu_campaign, "parts", lambda options: stand_ins(tmp_path))
    monkeypatch.setattr(gpu_campaign, "GRACE_SECONDS", 0.1)
    monkeypatch.setenv("FEWSHOT_DATA", str(tmp_path))
    return Options(tmp_path / "out", "cpu", True, 100.0)


def test_a_failed_part_and_a_slow_one_do_not_stop_the_rest(options: Options) -> None:
    summary = gpu_campaign.campaign(options, NAMES)
    assert {name: entry["state"] for name, entry in summary.items()} == {
        "good": "done",
        "bad": "failed",
        "slow": "timed out",
        "long": "unfinished",
    }
    assert summary["bad"]["reason"] == "no such kernel"
    assert summary["good"]["result"] == {"value": 0.5}
    assert json.loads((options.out / "summary.json").read_text()) == summary
    table = gpu_campaign.table(summary)
    assert "value 0.5" in table
    assert "no such kernel" in table


def test_a_second_call_skips_what_is_done(options: Options, tmp_path: Path) -> None:
    gpu_campaign.campaign(options, ["good"])
    summary = gpu_campaign.campaign(options, ["good", "bad"])
    assert (tmp_path / "ran.txt").read_text() == "x"
    assert summary["bad"]["state"] == "failed"
    assert "slow" not in summary


def test_without_time_a_part_is_recorded_as_not_run(options: Options) -> None:
    summary = gpu_campaign.campaign(options._replace(seconds=5.0), ["good"])
    assert summary["good"]["state"] == "not run"


def test_without_its_data_a_part_is_recorded_as_not_run(
    options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEWSHOT_DATA", str(tmp_path))
    part = stand_ins(tmp_path)[0]._replace(data=["elsewhere"])
    monkeypatch.setattr(gpu_campaign, "parts", lambda options: [part])
    summary = gpu_campaign.campaign(options, ["good"])
    assert summary["good"]["state"] == "not run"
    assert summary["good"]["reason"] == f"{tmp_path} contains no folder elsewhere"
    (tmp_path / "elsewhere").mkdir()
    assert gpu_campaign.campaign(options, ["good"])["good"]["state"] == "done"


@pytest.mark.parametrize(
    ("names", "seconds"), [(["first", "filling", "last"], 60.0), (["filling"], 90.0)]
)
def test_one_part_takes_the_time_that_the_later_ones_do_not_need(
    names: list[str], seconds: float, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes: dict[str, float] = {}

    def run(part: Part, options: Options, seconds: float) -> dict[str, object]:
        boxes[part.name] = seconds
        return {"state": "done", "seconds": 0.0}

    monkeypatch.setattr(gpu_campaign, "run", run)
    parts = [Part(name, 30.0, [], dict, fills=name == "filling") for name in names]
    monkeypatch.setattr(gpu_campaign, "parts", lambda options: parts)
    limit = 90.0 + gpu_campaign.GRACE_SECONDS
    gpu_campaign.campaign(options._replace(seconds=limit), names)
    assert boxes["filling"] == pytest.approx(seconds, abs=0.5)
    assert all(box == 30.0 for name, box in boxes.items() if name != "filling")


def test_a_command_receives_the_seconds_of_its_part(options: Options) -> None:
    code = "import sys; print(sys.argv)"
    part = Part("timed", 40.0, ["-c", code, "--seconds", gpu_parts.SECONDS], dict)
    for folder in ("logs", "records"):
        (options.out / folder).mkdir(parents=True)
    gpu_campaign.run(part, options, 40.0)
    assert "'--seconds', '30'" in (options.out / "logs" / "timed.txt").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "nothing"], "unknown part nothing"),
        (["--skip", "nothing"], "unknown part nothing"),
        (["--only", "probe", "--skip", "probe"], "leave no part"),
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


def skipped(options: Options, names: list[str]) -> dict[str, dict[str, object]]:
    """Stand for a campaign whose parts are all done."""
    return {name: {"state": "done", "seconds": 0.0} for name in names}


def test_toy_results_are_not_continued_at_full_size(
    options: Options, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_campaign, "campaign", skipped)
    for name in ("FEWSHOT_DATA", "FEWSHOT_CACHE", "FEWSHOT_TEST_DEVICE"):
        monkeypatch.setenv(name, "")  # restored afterwards: the command sets all three
    (options.out / "data" / "cifar10").mkdir(parents=True)
    request = ["--out", str(options.out), "--data", str(options.out / "data"), "--device", "cpu"]
    assert gpu_campaign.main([*request, "--toy"]) == 0
    assert gpu_campaign.main([*request, "--toy"]) == 0
    assert gpu_campaign.main(request) == 2
    assert "name another --out" in capsys.readouterr().err


def test_the_new_parts_fit_into_nine_minutes(tmp_path: Path) -> None:
    parts = gpu_campaign.parts(Options(tmp_path, "cuda", False, 540.0))
    boxes = {part.name: part.seconds for part in parts}
    first = list(boxes)[: list(boxes).index("grid") + 1]
    assert set(first) == {"prepare", "tests", "meta", "wider", "grid"}
    limit = gpu_campaign.TOTAL_SECONDS - gpu_campaign.GRACE_SECONDS
    assert sum(boxes[name] for name in first) <= limit <= 540


def test_an_interrupted_campaign_stops_its_part(tmp_path: Path) -> None:
    child = "import os, time; open(r'{0}', 'w').write(str(os.getpid())); time.sleep(60)"
    code = (
        "import pathlib, signal\n"
        "from scripts import gpu_campaign, gpu_parts\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        f"part = gpu_parts.Part('slow', 60, ['-c', {child.format(tmp_path / 'pid')!r}], dict)\n"
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
    request = ["--out", str(tmp_path), "--device", "cpu", "--toy", "--seconds", "9000"]
    assert gpu_campaign.main(request) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert {name: entry.get("reason") for name, entry in summary.items()} == dict.fromkeys(summary)
    assert {entry["state"] for entry in summary.values()} == {"done"}
    records = {path.stem for path in (tmp_path / "records").glob("*.json") if "-" not in path.stem}
    runs = {"probe", "protonet", "finetune", "fast", "accurate"}
    assert records == {"prepare", "target", "episodes", "meta", "wider", "grid", *runs}
    of_meta = {path.stem for path in (tmp_path / "records").glob("meta-*.json")}
    assert of_meta == {"meta-protonet-1", "meta-protonet-5", "meta-anil-1", "meta-anil-5"}
    assert summary["wider"]["result"]["probe_wider"] > 0.1
    assert len(list((tmp_path / "results").rglob("*.json"))) == 3
    assert summary["episodes"]["result"]["tasks_per_second"]["5-way 1-shot"] > 0
    assert summary["fast"]["result"]["accuracy_without_views"] is not None
    assert len(json.loads((tmp_path / "records" / "target.json").read_text())["curve"]) > 0
