"""What a draw keeps of its predictions."""

from __future__ import annotations

import numpy as np

from fewshot.runs.trial_files import half_precision


def test_logits_beyond_half_precision_keep_their_classes_and_their_softmax() -> None:
    rows = [[1.0, 2.0, 3.0], [1e6, 1e6 - 2, -1e9], [-1e5, -1e6, -1e7], [65504.0, -65504.0, 0.0]]
    logits = np.array(rows, dtype=np.float32)
    kept = half_precision(logits)
    assert kept.dtype == np.float16
    assert np.isfinite(kept).all()
    np.testing.assert_array_equal(kept[[0, 3]], logits[[0, 3]].astype(np.float16))  # as they were
    assert kept[1].tolist() == [0, -2, -65504]
    assert kept[2].tolist() == [0, -65504, -65504]
    assert (kept.argmax(1) == logits.argmax(1)).all()
