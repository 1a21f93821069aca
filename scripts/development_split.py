"""Makes the data that presets are chosen on: CIFAR-10's training images alone, 40,000 to learn from, 10,000 to judge.

python -m scripts.development_split FOLDER      # then: fewshot run --data FOLDER ...
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

if __name__ == "__main__":
    source = Path(os.environ["FEWSHOT_DATA"]) / "cifar10" / "train-00000-of-00001.parquet"
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    rows = pq.read_table(source)
    order = np.random.default_rng(0).permutation(len(rows))
    pq.write_table(rows.take(order[:40_000]), folder / "train-0.parquet")
    pq.write_table(rows.take(order[40_000:]), folder / "test-0.parquet")
