"""Checkpoints: what was written comes back, and the random numbers that follow are the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fewshot import distributed
from fewshot.errors import UserError
from fewshot.training.checkpoint import Checkpoint, Progress

CPU = torch.device("cpu")


def checkpoint() -> Checkpoint:
    progress = Progress(
        loss_sum=torch.tensor(1.5),
        n_losses=2,
        step=7,
        seconds=0.25,
        images=112,
        history=[{"step": 5, "epoch": 1.0, "lr": 0.1, "train_loss": 0.75}],
        best_value=-0.5,
        best_step=5,
        log_points_without_gain=1,
        stopped=True,
    )
    optimizer = {"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]}
    schedule = {"last_epoch": 7, "_last_lr": [0.1]}
    weights = {"weight": torch.arange(3.0)}
    return Checkpoint(progress, weights, None, {"weight": torch.zeros(3)}, optimizer, schedule)


def test_a_round_trip(tmp_path: Path) -> None:
    original = checkpoint()
    original.write(tmp_path / "checkpoint.pt")
    restored = Checkpoint.read(tmp_path / "checkpoint.pt", CPU)
    assert vars(restored.progress) == vars(original.progress)
    assert torch.equal(restored.learner["weight"], original.learner["weight"])
    assert restored.average is None
    assert restored.best is not None
    assert torch.equal(restored.best["weight"], torch.zeros(3))
    assert restored.schedule == original.schedule
    buffer = restored.optimizer["state"][0]["momentum_buffer"]
    assert torch.equal(buffer, torch.ones(2))


def test_a_file_that_cannot_be_opened_stays(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "checkpoint.pt"
    checkpoint().write(path)
    for error in (OSError(24, "Too many open files"), MemoryError("no memory")):
        monkeypatch.setattr("fewshot.training.checkpoint.read_tensors", raises(error))
        with pytest.raises(UserError, match=r"checkpoint\.pt cannot be read: .*(open|memory)"):
            Checkpoint.read(path, CPU)
        assert path.exists()
    monkeypatch.undo()
    assert Checkpoint.read(path, CPU) is not None


def raises(error: Exception) -> Callable[[Path], None]:
    """Return a function that raises an error."""

    def read(path: Path) -> None:
        raise error

    return read


def test_a_damaged_file_is_renamed_and_changes_no_random_numbers(tmp_path: Path, caplog) -> None:
    path = tmp_path / "checkpoint.pt"
    checkpoint().write(path)
    whole = path.read_bytes()
    state = torch.get_rng_state()
    torch.save({"progress": {}}, tmp_path / "other.pt")
    for content in (
        whole[: len(whole) // 2],
        b"",
        whole[:400] + bytes(400) + whole[800:],
        (tmp_path / "other.pt").read_bytes(),
    ):
        path.write_bytes(content)
        assert Checkpoint.read(path, CPU) is None
        assert not path.exists()
        assert (tmp_path / "checkpoint.pt.damaged").read_bytes() == content
    assert Checkpoint.read(path, CPU) is None
    assert "training begins anew" in caplog.text
    assert torch.equal(torch.get_rng_state(), state)


def test_random_numbers_continue(tmp_path: Path) -> None:
    checkpoint().write(tmp_path / "checkpoint.pt")
    expected = torch.rand(4)
    torch.manual_seed(1)
    restored = Checkpoint.read(tmp_path / "checkpoint.pt", CPU)
    assert torch.initial_seed() == 1
    torch.rand(9)
    restored.restore_random()
    assert torch.equal(torch.rand(4), expected)


def test_other_processes_get_random_numbers_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint().write(tmp_path / "checkpoint.pt")
    of_rank_0 = torch.rand(4)
    monkeypatch.setattr(distributed, "rank", lambda: 1)
    torch.manual_seed(3)  # the seed of the trial and the rank
    Checkpoint.read(tmp_path / "checkpoint.pt", CPU).restore_random()
    numbers = torch.rand(4)
    assert not torch.equal(numbers, of_rank_0)
    torch.manual_seed(3 + 7)  # and the step
    assert torch.equal(numbers, torch.rand(4))


@pytest.mark.gpu
def test_random_numbers_of_a_gpu_continue(tmp_path: Path) -> None:
    device = torch.device("cuda")
    original = checkpoint()
    original.progress.loss_sum = original.progress.loss_sum.to(device)
    original.write(tmp_path / "checkpoint.pt")
    expected = torch.rand(4, device=device)
    torch.rand(9, device=device)
    restored = Checkpoint.read(tmp_path / "checkpoint.pt", device)
    assert restored.progress.loss_sum.is_cuda
    restored.restore_random()
    assert torch.equal(torch.rand(4, device=device), expected)
