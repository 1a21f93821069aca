"""Data sets of the Hugging Face Hub: `hf:user/name` or `hf:user/name:config`.

`datasets` downloads one, and it is stored as Arrow files, which are read without `datasets` from
then on.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from episodes.datasets import network
from episodes.datasets.source import Source
from episodes.datasets.tables import arrow_folders
from episodes.errors import NotHere, UserError

FOLDER = "hf"  # in the folder of the data sets
_EXAMPLE = "expected hf:user/name or hf:user/name:config, such as hf:ylecun/mnist"


def source(name: str, root: Path) -> Source:
    """Return a data set of the Hub, and download it if it is not here yet.

    Args:
        name: user/name or user/name:config; the path of a local folder works as well.
        root: folder of the downloaded data sets.

    Raises:
        NotHere: `datasets` is not installed, or the download failed.
        UserError: the name is none, or the data set is none of labelled images.
    """
    repository, config = _parsed(name)
    folder = root / FOLDER / re.sub(r"[^\w.-]+", "--", name.strip("/"))
    if not folder.is_dir():
        _download(repository, config, folder)
    data = arrow_folders.source(folder, name)
    if data is None:
        raise UserError(f"{folder} holds no Arrow files: remove it, so that it is made again.")
    return data


def _parsed(name: str) -> tuple[str, str | None]:
    """Split a name into the repository and the configuration."""
    repository, _, config = name.partition(":")
    if not repository.strip() or (":" in name and not config.strip()):
        raise UserError(f"hf:{name} is not a data set of the Hub: {_EXAMPLE}.")
    return repository.strip(), config.strip() or None


def _download(repository: str, config: str | None, folder: Path) -> None:
    """Store a data set in a folder; one process does so while others wait.

    Raises:
        NotHere: `datasets` is not installed, or the download failed.
    """
    from filelock import FileLock

    try:
        import datasets
    except ImportError as error:
        raise NotHere(
            f"hf:{repository} needs the package datasets: install it with pip install "
            "'fewshot[hf]', or download the Parquet files of the data set and give their folder."
        ) from error
    unfinished = folder.with_name(f".{folder.name}.partial")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{folder.name}.lock")):
            if folder.is_dir():
                return
            message = "downloading %s from the Hugging Face Hub; this happens once"
            logging.getLogger("fewshot").warning(message, repository)
            shutil.rmtree(unfinished, ignore_errors=True)
            datasets.disable_progress_bars()
            logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # the error has the reason
            with _offline_if_unreachable(repository):
                loaded = datasets.load_dataset(repository, config)
            loaded.save_to_disk(str(unfinished))
            os.rename(unfinished, folder)
    except Exception as error:  # `datasets` raises errors of many packages
        shutil.rmtree(unfinished, ignore_errors=True)
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise NotHere(
            f"hf:{repository} is not in {folder.parent}, and it cannot be downloaded ({reason}): "
            "correct its name and configuration, connect to a network, or give a folder of its "
            "Parquet files as data."
        ) from error


@contextmanager
def _offline_if_unreachable(repository: str) -> Iterator[None]:
    """Let `datasets` use its own cache alone in the block if the Hub does not answer.

    It would otherwise try again and again for two minutes.

    Raises:
        ConnectionError: the Hub does not answer, and the cache does not have what is asked for.
    """
    import datasets
    from huggingface_hub import constants

    before = datasets.config.HF_HUB_OFFLINE
    reachable = before or os.path.isdir(repository) or network.answers(constants.ENDPOINT)
    datasets.config.HF_HUB_OFFLINE = before or not reachable
    try:
        yield
    except Exception as error:  # of many packages
        if not reachable:
            raise ConnectionError(f"{constants.ENDPOINT} does not answer") from error
        raise
    finally:
        datasets.config.HF_HUB_OFFLINE = before
