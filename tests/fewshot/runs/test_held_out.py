"""Oracle: arrays that were made here, and a round trip through the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fewshot.errors import UserError
from fewshot.runs import held_out
from fewshot.runs.held_out import HeldOut


def made(n: int, reference: bool = True) -> HeldOut:
    random = torch.Generator().manual_seed(n)
    logits = torch.randn(n, 3, generator=random)
    return HeldOut(logits, torch.arange(n) % 3, 2 * logits if reference else None)


@pytest.mark.parametrize("reference", [True, False])
def test_predictions_are_read_as_they_were_written(reference: bool, tmp_path: Path) -> None:
    written = made(5, reference)
    written.write(tmp_path)
    read = held_out.read(tmp_path)
    assert torch.equal(read.logits, written.logits)
    assert torch.equal(read.labels, written.labels)
    assert (read.reference is None) == (not reference)


def test_damaged_predictions_are_named(tmp_path: Path) -> None:
    made(5).write(tmp_path)
    whole = (tmp_path / held_out.FILE).read_bytes()
    other_names = {"scores": made(5).logits.numpy()}
    for damage in (
        lambda path: path.write_bytes(whole[:99]),
        lambda path: np.savez(path, **other_names),
    ):
        damage(tmp_path / held_out.FILE)
        with pytest.raises(
            UserError, match=r"predictions\.npz cannot be read .*: remove the folder"
        ):
            held_out.read(tmp_path)


def test_folds_are_joined_in_their_order() -> None:
    parts = [made(2), made(4)]
    joined = held_out.joined(parts)
    assert joined.labels.tolist() == [0, 1, 0, 1, 2, 0]
    assert torch.equal(joined.logits[2:], parts[1].logits)
    assert torch.equal(joined.reference, 2 * joined.logits)
    assert held_out.joined([made(2), made(4, reference=False)]).reference is None
