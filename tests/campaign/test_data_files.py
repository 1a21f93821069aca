"""Damaged data sets, caches, weights, models and records end in one sentence, or are made anew."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from itertools import count, product
from pathlib import Path

import numpy as np
import torch

from tests.campaign.conftest import Outcomes
from tests.campaign.data_files import DATA_SETS, OF_FOLDERS
from tests.campaign.limited_reader import LimitedReader, Reply, command
from tests.campaign.mutated_images import DAMAGES
from tests.test_hostile_pickles import Payload

ATTEMPTS = 100  # of each kind of file
Read = Callable[[], Reply]


def loaded(place: str, cache: str) -> str:
    """Load a data set; a job."""
    from episodes.datasets import load

    images = load(place, cache=Path(cache)).train
    skips = any("skipped" in note for note in images.notes)
    return "read, with a named skip" if skips else "read"


def cached(cache: str, *arguments: str) -> str:
    """Run a command with a cache; a job."""
    os.environ["FEWSHOT_CACHE"] = cache
    return command(*arguments)


def weighted(path: str) -> str:
    """Build a network with the weights of a file; a job."""
    from fewshot import backbones

    backbones.build("conv4", weights=path)
    return "read"


def damaged(content: bytes, chance: random.Random) -> tuple[str, bytes]:
    """Return what was done, and the damaged content."""
    kind = chance.choice(list(DAMAGES))
    return kind, DAMAGES[kind](content, chance)


def note(part: Outcomes, name: str, reply: Reply) -> None:
    """Count how a job ended."""
    if reply.fault:
        part.fail(f"{name}: {reply.fault}")
    else:
        part.count(reply.outcome)


def finish(part: Outcomes, reader: LimitedReader) -> None:
    """Write down what the jobs took."""
    part.figures["longest, processor seconds"] = round(reader.longest, 1)
    part.figures["most resident memory, MB"] = round(reader.most_memory_mb)


def test_damaged_data_sets(
    tmp_path: Path,
    seed: int,
    amount: Callable[[int], int],
    outcomes: Callable[[str], Outcomes],
) -> None:
    chance = random.Random(seed)
    with outcomes("files-data-sets") as part, LimitedReader() as reader:
        for name, write in DATA_SETS.items():
            folder = tmp_path / name.replace(" ", "-").lower()
            folder.mkdir()
            file = write(folder)
            place = folder if name in OF_FOLDERS else file
            whole = file.read_bytes()
            reply = reader.run(loaded, str(place), str(tmp_path / "cache"))
            assert reply.outcome == "read", f"{name}: {reply}"
            for _ in range(amount(ATTEMPTS)):
                kind, content = damaged(whole, chance)
                file.write_bytes(content)
                note(
                    part,
                    f"{name}, {kind}",
                    reader.run(loaded, str(place), str(tmp_path / "cache")),
                )
            shutil.rmtree(folder)
        finish(part, reader)


def test_damaged_caches_are_made_anew(
    tmp_path: Path,
    seed: int,
    amount: Callable[[int], int],
    outcomes: Callable[[str], Outcomes],
) -> None:
    chance = random.Random(seed)
    place, cache = tmp_path / "data", tmp_path / "cache"
    place.mkdir()
    file = DATA_SETS["ZIP"](place)
    with outcomes("files-image-caches") as part, LimitedReader() as reader:
        assert reader.run(loaded, str(file), str(cache)).outcome == "read"
        names = [
            path.relative_to(cache)
            for path in sorted(cache.rglob("*"))
            if path.is_file() and path.suffix != ".lock"
        ]
        shutil.copytree(cache, tmp_path / "whole")
        for number in range(amount(ATTEMPTS)):
            name = names[number % len(names)]
            kind, content = damaged((tmp_path / "whole" / name).read_bytes(), chance)
            (cache / name).write_bytes(content)
            note(part, f"{name.name}, {kind}", reader.run(loaded, str(file), str(cache)))
            shutil.rmtree(cache)
            shutil.copytree(tmp_path / "whole", cache)
        finish(part, reader)


def test_damaged_files_of_runs_and_models(
    tmp_path: Path,
    seed: int,
    amount: Callable[[int], int],
    outcomes: Callable[[str], Outcomes],
) -> None:
    """Damage a record, a model, predictions, a configuration, weights and features in a cache."""
    chance = random.Random(seed)
    data = tmp_path / "data"
    data.mkdir()
    zipped = str(DATA_SETS["ZIP"](data))
    runs, model = tmp_path / "runs", tmp_path / "model.fewshot"
    settings = ["--data", "digits", "--shots", "2", "--seeds", "2", "--backbone", "conv4"]
    run = ["run", "--method", "probe", *settings, "--out", str(runs), "--quiet"]
    with outcomes("files-runs-and-models") as part, LimitedReader() as reader:
        for arguments in (
            run,
            ["fit", zipped, "--out", str(model), "--backbone", "mini-resnet", "--quiet"],
        ):
            reply = reader.run(command, *arguments, seconds=300)
            assert reply.outcome.startswith("done"), reply
        record = next(runs.glob("*/record.json"))
        config = record.with_name("config.yaml")
        weights = tmp_path / "conv4.safetensors"
        torch_weights = tmp_path / "conv4.pth"
        assert reader.run(saved_weights, str(weights), str(torch_weights)).outcome == "saved"
        ways: dict[Path, Callable[[], Reply]] = {
            record: lambda: reader.run(command, "report", str(runs), seconds=60),
            model: lambda: reader.run(command, "show", str(model), seconds=60),
            config: lambda: reader.run(
                command, "run", "--config", str(config), "--dry-run", seconds=60
            ),
            weights: lambda: reader.run(weighted, str(weights)),
            torch_weights: lambda: reader.run(weighted, str(torch_weights)),
        }
        for path in sorted(record.parent.rglob("trial*/*")):
            if path.suffix in {".json", ".npz", ".pt"}:
                ways[path] = lambda: reader.run(
                    command, "inspect", str(record.parent), "--out", str(tmp_path / "i"), seconds=60
                )
        for path, read in ways.items():
            whole = path.read_bytes()
            for _ in range(amount(ATTEMPTS // 2)):
                kind, content = damaged(whole, chance)
                path.write_bytes(content)
                note(part, f"{path.name}, {kind}", read())
                path.write_bytes(whole)
        part.figures["kinds of files"] = len(ways)
        finish(part, reader)


def pickled(payload: Payload) -> dict[str, bytes]:
    """Return the payload as files of every library that pickles."""
    array = np.array([payload], dtype=object)
    files = {name: BytesIO() for name in ("torch", "npy", "npz", "zip")}
    torch.save({"state_dict": payload}, files["torch"])
    np.save(files["npy"], array, allow_pickle=True)
    np.savez(files["npz"], x=array, y=array)
    with zipfile.ZipFile(files["zip"], "w") as archive:
        archive.writestr("data.pkl", pickle.dumps(payload))
        archive.writestr("cat/1.png", pickle.dumps(payload))
    return {
        **{f"pickle of protocol {n}": pickle.dumps(payload, n) for n in (0, 2, 5)},
        **{f"file of {name}": stream.getvalue() for name, stream in files.items()},
    }


def test_a_pickle_in_place_of_any_file_runs_no_code(
    tmp_path: Path, outcomes: Callable[[str], Outcomes]
) -> None:
    """Replace each file of data sets, caches, runs and models by pickles, and read it."""
    marker = tmp_path / "made"
    with outcomes("files-pickles") as part, LimitedReader() as reader:
        for what, file, reads in _readers(tmp_path, reader):
            whole = file.read_bytes()
            for (how, content), read in product(pickled(Payload(marker)).items(), reads):
                file.write_bytes(content)
                reply = read()
                if marker.exists():
                    marker.rmdir()
                    part.fail(f"{what}, {file.name}, {how}: its code was run")
                else:
                    note(part, f"{what}, {file.name}, {how}", reply)
                file.write_bytes(whole)
        finish(part, reader)


def _readers(folder: Path, reader: LimitedReader) -> Iterator[tuple[str, Path, list[Read]]]:
    """Yield what kind of file it is, the file, and what reads it."""
    for name, write in DATA_SETS.items():
        place = folder / name.replace(" ", "-").lower()
        place.mkdir()
        file = write(place)
        of = str(place if name in OF_FOLDERS else file)
        yield name, file, [partial(reader.run, loaded, of, str(folder / "unused"))]
    runs, cache, model = folder / "runs", folder / "cache", folder / "model.fewshot"
    zipped = str(folder / "zip" / "data.zip")

    def read(*arguments: str) -> Read:
        return partial(reader.run, cached, str(cache), *arguments, "--quiet", seconds=60)

    shared = ("--data", zipped, "--shots", "2", "--seeds", "1")
    probe = ("run", "--method", "probe", *shared)
    short = ("--backbone", "conv4", "--weights", "none", "--set", "train.steps=2")
    scratch = ("run", "--method", "scratch", *shared, *short)
    check = ("check", zipped)
    fit = ("fit", zipped, "--backbone", "mini-resnet", "--out", str(model))
    for arguments in (probe, scratch):
        assert read(*arguments, "--out", str(runs))().outcome.startswith("done")
    for arguments in (check, fit):
        assert read(*arguments)().outcome.startswith("done")
    yield "model", model, [partial(reader.run, command, "show", str(model))]
    again = (str(number) for number in count())  # a run folder in which nothing is finished
    of_cache = [lambda: read(*probe, "--out", str(folder / "again" / next(again)))(), read(*check)]
    for path in _files(cache):
        yield "cache", path, of_cache
    for run in sorted(runs.iterdir()):
        inspect = partial(reader.run, command, "inspect", str(run), "--out", str(folder / "drawn"))
        for path in _files(run):
            resumed = read("run", "--config", str(run / "config.yaml"), "--out", str(runs))
            yield "run", path, [inspect, resumed]


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".lock"]


def saved_weights(safe: str, by_torch: str) -> str:
    """Save the weights of a network in two formats; a job."""
    import torch
    from safetensors.torch import save_file

    from fewshot import backbones

    state = {
        name: value.contiguous() for name, value in backbones.build("conv4").state_dict().items()
    }
    save_file(state, safe)
    torch.save(state, by_torch)
    return "saved"


def test_deep_and_endless_text(tmp_path: Path, outcomes: Callable[[str], Outcomes]) -> None:
    """Read JSON and YAML of many levels, long numbers and repeated anchors in every place."""
    texts = {
        "100,000 lists": "[" * 100_000,
        "100,000 mappings": '{"run_id":' * 100_000,
        "a long number": '{"run_id": ' + "9" * 100_000 + "}",
        "a large number": '{"run_id": 1e999, "image_size": 1e999}',
        "NUL": '{"run_id": "\0"}',
        "anchors": "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{c}: &{c} [{','.join(['*' + p] * 9)}]\n"
            for p, c in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "a tag": "train: !!python/object/apply:os.mkdir [made]\n",
        "surrogates": json.dumps({"run_id": "\ud800"}),
    }
    with outcomes("files-deep-text") as part, LimitedReader() as reader:
        for name, text in texts.items():
            for suffix, arguments in (
                (".json", ("report",)),
                (".yaml", ("run", "--dry-run", "--config")),
                (".yaml", ("sweep", "--dry-run")),
                (".yaml", ("episodes", "--data", "digits", "--method", "protonet", "--classes")),
                (".jsonl", ("data",)),
                (".json", ("data",)),
                (".csv", ("data",)),
                (".fewshot", ("show",)),
            ):
                path = tmp_path / f"text{suffix}"
                path.write_text(text)
                note(part, f"{name}, {arguments[0]}", reader.run(command, *arguments, str(path)))
        finish(part, reader)
    assert not (tmp_path / "made").exists()
