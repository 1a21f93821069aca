"""Write the data set that presets are chosen on, so that no choice depends on the test set.

python -m scripts.development_split FOLDER

Its 40,000 training and 10,000 test images are a fixed random split of CIFAR-10's training images,
read from $FEWSHOT_DATA/cifar10. Train on it with `fewshot run --data FOLDER`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

N_TRAIN = 40_000


def split(source: Path, folder: Path, n_train: int = N_TRAIN) -> None:
    """Write train-0.parquet and test-0.parquet.

    Args:
        source: a Parquet file; its rows are shuffled with seed 0.
        folder: where to write; it is created.
        n_train: rows of the training file; the others become the test file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = pq.read_table(source)
    order = np.random.default_rng(0).permutation(len(rows))
    pq.write_table(rows.take(order[:n_train]), folder / "train-0.parquet")
    pq.write_table(rows.take(order[n_train:]), folder / "test-0.parquet")


if __name__ == "__main__":
    if len(sys.argv) != 2 or "FEWSHOT_DATA" not in os.environ:
        sys.exit("usage, with FEWSHOT_DATA set: python -m scripts.development_split FOLDER")
    split(
        Path(os.environ["FEWSHOT_DATA"]) / "cifar10" / "train-00000-of-00001.parquet",
        Path(sys.argv[1]),
    )
