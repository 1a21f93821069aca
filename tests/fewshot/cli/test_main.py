from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fewshot.cli import main

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


def fewshot(arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """The command in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["fewshot", *arguments.split()])
    with pytest.raises(SystemExit) as left:
        main.main()
    return int(left.value.code or 0)


COMMANDS = [
    "",
    "run",
    "pretrain",
    "sweep",
    "forecast",
    "options",
    "inspect",
    "predict",
    "vote",
    "list",
    "data",
    "report",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_nothing_heavy(command: str) -> None:
    code = (
        "import sys; from fewshot.cli import main\n"
        f"sys.argv = ['fewshot', *{command.split()!r}, '--help']\n"
        "try: main.main()\n"
        f"finally: print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0
    assert "Usage" in done.stdout
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(("given", "found"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_waiting_threads_sleep_unless_told_otherwise(given, found, monkeypatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY")
    if given is not None:
        monkeypatch.setenv("OMP_WAIT_POLICY", given)
    assert fewshot("--help", monkeypatch) == 0
    assert os.environ["OMP_WAIT_POLICY"] == found


RUN = "run --data digits --shots 4 --seeds 1 --set precision=float32"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("run --method protonte --shots 4", "unknown method 'protonte': did you mean 'protonet'?"),
        ("run --shots 4", "no method was named"),
        ("run --method probe", "no label budget was named"),
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
        ("data no-such-set", "no-such-set"),
        ("data", "give either the name of a data set"),
        ("data --clear", "--clear removes what --cache shows"),
        ("data digits --clear", "--clear removes what --cache shows"),
        ("data digits --cache", "give either the name of a data set"),
    ],
)
def test_bad_input_gets_one_sentence_and_code_2(
    arguments, said, monkeypatch, tmp_path, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    assert fewshot(arguments, monkeypatch) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.err.strip().splitlines()[-1].startswith("fewshot: ")
    assert "Traceback" not in shown.err
    assert shown.out == ""
    assert not (tmp_path / "runs").exists()


def test_a_real_process_ends_with_code_2_and_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fewshot", "run", "--method", "protonte", "--shots", "4"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("fewshot: unknown method 'protonte'")
    assert "Traceback" not in done.stderr


def test_unwritable_folders_are_named(monkeypatch, tmp_path, capsys) -> None:
    (tmp_path / "file").write_text("")
    assert fewshot(f"{RUN} --method probe --out {tmp_path}/file/runs", monkeypatch) == 2
    assert f"{tmp_path}/file/runs" in capsys.readouterr().err
    monkeypatch.setenv("FEWSHOT_CACHE", f"{tmp_path}/file/cache")
    assert fewshot(f"{RUN} --method probe --out {tmp_path}/runs", monkeypatch) == 2
    assert f"{tmp_path}/file/cache" in capsys.readouterr().err


def test_run_prints_a_table_or_the_record_alone(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert fewshot(f"{RUN} --method probe", monkeypatch) == 0
    shown = capsys.readouterr()
    assert "| probe" in shown.out
    (path,) = Path("runs").glob("*/record.json")
    assert str(path) in shown.err
    assert fewshot(f"{RUN} --method probe --json", monkeypatch) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(path.read_text())
    assert fewshot(f"run --config {path.parent / 'config.yaml'} --seeds 1", monkeypatch) == 0
    assert len(list(Path("runs").iterdir())) == 1


def test_report_writes_and_checks(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    for method in ("probe", "protonet"):
        sets = "--set train.steps=5" if method == "protonet" else ""
        assert fewshot(f"{RUN} --method {method} {sets}", monkeypatch) == 0
    assert fewshot("report runs --out reports", monkeypatch) == 0
    assert fewshot("report runs --out reports --check", monkeypatch) == 0
    text = Path("reports/comparison.md").read_text()
    assert text.count("**digits, 4 shots**") == 1
    assert "| probe" in text
    assert "| protonet" in text
    Path("reports/comparison.md").write_text(text + "edited")
    assert fewshot("report runs --out reports --check", monkeypatch) == 1
    assert "stale" in capsys.readouterr().err


def test_list_names_everything_once(monkeypatch, capsys) -> None:
    assert fewshot("list", monkeypatch) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in (
        "protonet",
        "probe",
        "finetune",
        "scratch",
        "baseline-cnn",
        "conv4",
        "resnet",
        "digits",
        "cifar10",
    ):
        assert sum(line.split()[:1] == [name] for line in lines) == 1, name


def test_data_shows_counts_and_draws_a_contact_sheet(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert fewshot("data digits", monkeypatch) == 0
    assert "10 classes" in capsys.readouterr().out
    sheet = np.asarray(Image.open(tmp_path / "digits-contact-sheet.png").convert("L"))
    assert sheet.shape[0] > 600
    assert len(np.unique(sheet)) > 50


def test_a_messy_folder_of_images_runs(monkeypatch, tmp_path, capsys) -> None:
    """Uneven classes, PNG and JPEG, one corrupt file, one text file, one empty class."""
    colours = {"red": (220, 30, 30), "green": (30, 200, 60), "blue": (40, 40, 220)}
    noise = np.random.default_rng(0)
    for number, (name, colour) in enumerate(colours.items()):
        for part, count in (("train", 6 + 3 * number), ("test", 4)):
            folder = tmp_path / "mine" / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = np.clip(
                    np.array(colour) + noise.normal(0, 30, (40, 48, 3)), 0, 255
                ).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.{'png' if i % 2 else 'jpg'}")
    (tmp_path / "mine/train/red/broken.png").write_bytes(b"\x89PNG not an image")
    (tmp_path / "mine/train/red/notes.txt").write_text("to do: more photographs")
    (tmp_path / "mine/train/empty").mkdir()
    monkeypatch.chdir(tmp_path)
    assert fewshot("data mine", monkeypatch) == 0
    shown = capsys.readouterr().out
    for part in ("broken.png", "notes.txt", "empty"):
        assert part in shown
    assert fewshot("run --data mine --method probe --shots 6 --seeds 2 --json", monkeypatch) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["scores"]["accuracy"]["mean"] > 0.8
    assert any("broken.png" in note for note in record["data_notes"])
    assert fewshot("run --data mine --method probe --shots 7 --seeds 2", monkeypatch) == 2
    assert "'red' has only 6" in capsys.readouterr().err


def test_what_is_kept_is_shown_and_cleared(monkeypatch, tmp_path, capsys) -> None:
    place = tmp_path / "cache"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEWSHOT_CACHE", str(place))
    assert fewshot("data --cache", monkeypatch) == 0
    assert f"0.0 MB of images and 0.0 MB of features in {place}" in capsys.readouterr().out
    for part, count in (("train", 6), ("test", 3)):
        for name, grey in (("dark", 20), ("light", 220)):
            (tmp_path / "mine" / part / name).mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", (32, 32), (grey + i,) * 3).save(
                    tmp_path / "mine" / part / name / f"{i}.png"
                )
    for data in ("mine", "digits"):
        arguments = f"run --data {data} --method probe --backbone conv4 --shots 4 --seeds 1 --set precision=float32 --quiet"
        assert fewshot(arguments, monkeypatch) == 0
    (place / "features" / "junk.npy").write_bytes(bytes(3_000_000))
    capsys.readouterr()
    assert fewshot("data --cache", monkeypatch) == 0
    shown = capsys.readouterr().out.splitlines()
    today = datetime.now().strftime("%Y-%m-")
    expected = [
        ("mine train", "12 images of 32x32"),
        ("mine test", "6 images of 32x32"),
        ("mine, conv4 (float32 cpu)", "8 of 12 rows of 256"),
        ("mine, conv4 (float32 cpu)", "6 of 6 rows of 256"),
        ("digits, conv4 (float32 cpu)", "40 of 1,297 rows of 256"),
        ("digits, conv4 (float32 cpu)", "500 of 500 rows of 256"),
        ("junk.npy", "unfinished or damaged"),
    ]
    for name, holds in expected:
        (line,) = (
            each for each in shown if each.strip().startswith(f"{name} ") and f" {holds} " in each
        )
        assert "MB" in line
        assert today in line
    assert len(shown) == len(expected) + 4
    size = sum(
        path.stat().st_size for part in ("images", "features") for path in (place / part).rglob("*")
    )
    assert fewshot("data --cache --clear", monkeypatch) == 0
    said = capsys.readouterr().out
    assert said.startswith("freed ")
    assert float(said.split()[1]) == pytest.approx(size / 1e6, abs=0.15)
    assert [
        path for part in ("images", "features", "index") for path in (place / part).rglob("*")
    ] == []
    assert fewshot(f"{RUN} --method probe --quiet --force", monkeypatch) == 0  # made again


@pytest.mark.parametrize("command", ["data --cache", "data --cache --clear"])
def test_showing_what_is_kept_imports_no_torch(command: str, tmp_path: Path) -> None:
    code = (
        "import sys; from fewshot.cli import main\n"
        f"sys.argv = ['fewshot', *{command.split()!r}]\n"
        "try: main.main()\n"
        "finally: print([name for name in ('torch', 'pandas', 'sklearn', 'timm') if name in sys.modules])"
    )
    environment = {**os.environ, "FEWSHOT_CACHE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0
    assert done.stdout.endswith("[]\n")


def test_a_limit_of_the_cache_that_is_none_is_said_before_work_starts(
    monkeypatch, tmp_path, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEWSHOT_CACHE_GB", "lots")
    assert fewshot(f"{RUN} --method probe", monkeypatch) == 2
    assert "FEWSHOT_CACHE_GB is 'lots'" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("flag", ["", "--quiet"])
def test_a_damaged_cache_is_one_line_on_stderr(flag: str, monkeypatch, tmp_path, capsys) -> None:
    """Also where no progress is wanted: it is none."""
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "cache"))
    printed = []
    for out in ("a", "b"):
        assert (
            fewshot(f"{RUN} --method probe --out {tmp_path / out} {flag} --json", monkeypatch) == 0
        )
        shown = capsys.readouterr()
        printed.append(json.loads(shown.out)["scores"])
        for path in (tmp_path / "cache" / "features").glob("*.safetensors"):
            path.write_bytes(path.read_bytes()[:1000])
    assert printed[0] == printed[1]
    assert shown.err.count("is damaged") == 2
    assert "Traceback" not in shown.err
    assert len(shown.err.splitlines()) == 2 or not flag
