"""Measure classifiers of one's own photos, beside other tools, and write reports/own-images.md.

python -m scripts.own_images runs        # accuracy of each network, and other tools beside it
python -m scripts.own_images cold        # seconds and memory from a cold start: a quiet machine
python -m scripts.own_images             # write the tables
python -m scripts.own_images --check     # exit with an error if one is stale

`runs` needs $FEWSHOT_DATA/imagenette160 and measures only what has no record yet. vyntri is
measured if it can be imported: `pip install --no-deps --target FOLDER vyntri==1.5.0`, and FOLDER
in PYTHONPATH.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from fewshot import io
from fewshot.evaluation import statistics
from fewshot.report import costs, formatting
from fewshot.runs.run_record import RunRecord
from scripts import cold_start, pages, peers
from scripts.pages import RECORDS, ROOT

PAGE = ROOT / "reports" / "own-images.md"
FOLDER = RECORDS / "own-images"
DATA = "imagenette160"
SHOTS = (1, 2, 4, 5, 8, 16)
N_TRIALS = 10
MINI_RESNET = "mini-resnet"
NETWORKS: dict[str, dict[str, Any]] = {
    MINI_RESNET: {"name": MINI_RESNET, "weights": "pretrained", "views": "flip-crop"},
    "lite0": {"name": "tf_efficientnet_lite0", "weights": "pretrained", "input_size": 224},
    "lite2": {"name": "tf_efficientnet_lite2", "weights": "pretrained", "input_size": 224},
}
BESIDE = "lite2"  # the network whose features the other tools get


def request(network: str, shots: int) -> dict[str, Any]:
    """Return the arguments of `fewshot.run` for one number of photos."""
    return {
        "method": "probe",
        "data": DATA,
        "shots": shots,
        "backbone": NETWORKS[network],
        "seeds": N_TRIALS,
    }


def run() -> None:
    """Measure what has no record yet."""
    import fewshot

    io.make_folder(FOLDER)
    for network in NETWORKS:
        for shots in SHOTS:
            path = FOLDER / f"{network}-{shots}.json"
            if not path.exists():
                out = ROOT / "runs" / "own-images"
                record = fewshot.run(**request(network, shots), out=out, device="cpu", quiet=True)
                io.write_json(path, record.to_json())
                print(f"{path.stem}: {record.scores['accuracy'].mean:.3f}", flush=True)
    peers.measure(NETWORKS[BESIDE], DATA, SHOTS, N_TRIALS, FOLDER)


def published(network: str, shots: int) -> RunRecord | None:
    """Return the record of a network; None if it was not measured."""
    return pages.record("own-images", f"{network}-{shots}")


def accuracies() -> str:
    """Return the accuracy of each network and number of photos a class."""
    rows = []
    for network, settings in NETWORKS.items():
        row = [_words(settings)]
        for shots in SHOTS:
            record = published(network, shots)
            row.append(formatting.interval(record.scores["accuracy"]) if record else "not run")
        rows.append(row)
    return formatting.markdown_table(["network", *map(_photos, SHOTS)], rows)


def errors_of_calibration() -> str:
    """Return the expected calibration error of each network and number of photos a class."""
    rows = []
    for network, settings in NETWORKS.items():
        row = [_words(settings)]
        for shots in SHOTS:
            record = published(network, shots)
            scores = None if record is None else record.calibrated or record.scores
            row.append("not run" if scores is None else f"{scores['ece'].mean:.3f}")
        rows.append(row)
    return formatting.markdown_table(["network", *map(_photos, SHOTS)], rows)


def side_by_side() -> str:
    """Return accuracy, calibration and seconds of the classifiers on the same features."""
    rows = []
    for shots in SHOTS:
        record = published(BESIDE, shots)
        if record is not None:
            ece = (record.calibrated or record.scores)["ece"].mean
            accuracy = formatting.interval(record.scores["accuracy"])
            seconds = costs.seconds(record, ".2f")
            rows.append([shots, "this package", accuracy, f"{ece:.3f}", seconds])
        for name in peers.CLASSIFIERS:
            result = peers.read(FOLDER, name, shots)
            if result is None:
                rows.append([shots, name, "not run", "", ""])
                continue
            accuracy = formatting.interval(statistics.summary(result.accuracies))
            seconds = f"{np.mean(result.seconds):.2f}"
            rows.append([shots, name, accuracy, f"{np.mean(result.errors):.3f}", seconds])
    columns = ["photos a class", "classifier", "accuracy ± 95%", "ECE", "seconds of the fit"]
    return formatting.markdown_table(columns, rows)


def _photos(shots: int) -> str:
    return f"{shots} photo{'' if shots == 1 else 's'}"


def _words(settings: dict[str, Any]) -> str:
    side, views = settings.get("input_size", 32), settings.get("views", "none")
    return f"{settings['name']}, {side} pixels, views {views}"


def tables() -> dict[str, str]:
    return {
        "accuracy": accuracies(),
        "calibration": errors_of_calibration(),
        "peers": side_by_side(),
        "cold": cold_start.table(FOLDER),
    }


def main() -> None:
    """Measure, or write the tables."""
    if sys.argv[1:] == ["runs"]:
        run()
    elif sys.argv[1:] == ["cold"]:
        cold_start.measure(FOLDER)
    else:
        pages.update([PAGE], tables, "scripts.own_images")


if __name__ == "__main__":
    main()
