"""Model files in repositories of the Hugging Face Hub, named `hf:user/name` or with `@revision`.

`HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME` and `HF_HUB_OFFLINE` mean what they mean to the hub's own
client, which also caches what it downloads.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from fewshot import progress
from fewshot.errors import UserError, one_line
from fewshot.model.model_header import LARGEST_FILE

PREFIX = "hf:"
MODEL, ONNX, CARD = "model.fewshot", "model.onnx", "README.md"  # what a repository holds
OF_EVERY_REPOSITORY = {CARD, ".gitattributes", "LICENSE"}
REACH_SECONDS = 10.0
LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"

log = logging.getLogger("fewshot")


class Repository(NamedTuple):
    """A repository of the hub, and one of its revisions; None for the newest."""

    name: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{PREFIX}{self.name}" + (f"@{self.revision}" if self.revision else "")


def is_hub(place: str | os.PathLike[str]) -> bool:
    """Return whether a place is a repository of the hub, not a path."""
    return _text(place).startswith(PREFIX)


def parsed(place: str | os.PathLike[str]) -> Repository:
    """Return the repository of `hf:user/name` or `hf:user/name@revision`.

    Raises:
        UserError: the hub has no repositories of such names.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    parts = re.fullmatch(r"hf:([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", _text(place), re.ASCII)
    try:
        if parts is None or ".." in (parts[2] or ""):
            raise HFValidationError
        validate_repo_id(parts[1])
    except HFValidationError:
        raise UserError(
            f"{_text(place)}: expected hf:user/name or hf:user/name@revision, such as "
            "hf:mia/pets@main."
        ) from None
    return Repository(parts[1], parts[2])


def local_file(place: str | os.PathLike[str]) -> Path:
    """Return the path of a model file; one in a repository of the hub is downloaded first."""
    return download(_text(place)) if is_hub(place) else Path(place)


def beside(place: Path) -> Path:
    """Return where a new version of a model goes by default: beside it, or here if on the hub."""
    return Path(f"{parsed(place).name.split('/')[1]}.fewshot") if is_hub(place) else place


def download(name: str) -> Path:
    """Return the model file of a repository, from the cache if it is there and unchanged.

    Without a connection, the newest that was downloaded before is used.

    Args:
        name: hf:user/name, or hf:user/name@revision for a branch, tag or commit.

    Raises:
        UserError: there is no such repository, revision or file, access is denied, or it cannot be
            reached.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    repository = parsed(name)
    progress.update(f"looking for {repository}")
    with _quiet():
        try:
            url = hf_hub_url(repository.name, MODEL, revision=repository.revision)
            size = get_hf_file_metadata(url, timeout=REACH_SECONDS).size or 0
            if size > LARGEST_FILE:
                raise UserError(
                    f"{repository} is too large for a model file ({size / 1e9:.1f} GB): name a "
                    "repository that `fewshot fit --out hf:user/name` wrote."
                )
            progress.update(f"downloading {repository} ({size / 1e6:.1f} MB)")
            return Path(hf_hub_download(repository.name, MODEL, revision=repository.revision))
        except Exception as error:
            if isinstance(error, UserError):
                raise
            cached = _cached(repository) if _is_unreachable(error) else None
            if cached is None:
                raise _error(repository, error) from error
            log.warning(
                "%s: the hub was not reached (%s); using the copy in its cache.",
                repository,
                _reason(error),
            )
            return cached


def check_upload(name: str) -> Repository:
    """Return the repository to upload to, if the token of this machine may write a model there.

    Nothing is written. A repository that exists must hold a model file, or nothing of its own.

    Raises:
        UserError: it cannot be written, or holds something else.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    repository = parsed(name)
    if repository.revision is not None:
        raise UserError(f"{repository}: a model is uploaded to the main branch: leave out @.")
    with _quiet():
        try:
            owner = HfApi().whoami()
            names = [owner["name"], *(one["name"] for one in owner.get("orgs", []))]
            files: set[str] = set()
            if repository.name.split("/")[0] in names:
                with suppress(RepositoryNotFoundError):
                    files = set(HfApi().list_repo_files(repository.name))
        except Exception as error:
            raise _error(repository, error) from error
    if repository.name.split("/")[0] not in names:
        raise UserError(
            f"{repository} cannot be written, because the token is of {names[0]}: name "
            f"{PREFIX}{names[0]}/{repository.name.split('/')[1]}, or {LOG_IN} of another account."
        )
    if MODEL not in files and (other := sorted(files - OF_EVERY_REPOSITORY)):
        raise UserError(
            f"{repository} holds no {MODEL} but other files, such as {other[0]}: name another "
            "repository, so that nothing is mixed up."
        )
    return repository


def upload(name: str, files: Mapping[str, Path | bytes], *, public: bool, message: str) -> str:
    """Write files to a repository in one commit; make the repository if there is none.

    Args:
        name: hf:user/name.
        files: their names in the repository, with their paths or contents.
        public: whether anybody may read a new repository; one that exists stays as it is.
        message: what the commit says.

    Returns:
        The address of the repository.

    Raises:
        UserError: it cannot be written.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    repository = parsed(name)
    api = HfApi()
    progress.update(f"uploading to {repository}")
    with _quiet():
        try:
            api.create_repo(repository.name, private=not public, exist_ok=True)
            additions = [CommitOperationAdd(place, content) for place, content in files.items()]
            api.create_commit(repository.name, additions, commit_message=message)
        except Exception as error:  # the client raises errors of many packages
            raise _error(repository, error) from error
    return f"{api.endpoint}/{repository.name}"


def _text(place: str | os.PathLike[str]) -> str:
    return place if isinstance(place, str) else Path(place).as_posix()


def _cached(repository: Repository) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(repository.name, MODEL, revision=repository.revision)
    return Path(path) if isinstance(path, str) else None


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the hub's client, whose warnings and bars would stand beside our own."""
    from huggingface_hub import utils

    logger = logging.getLogger("huggingface_hub")
    level, had_bars = logger.level, not utils.are_progress_bars_disabled()
    logger.setLevel(logging.ERROR)
    if had_bars:
        utils.disable_progress_bars()
    try:
        yield
    finally:
        logger.setLevel(level)
        if had_bars:
            utils.enable_progress_bars()


def _status(error: BaseException) -> int | None:
    """Return the HTTP status of an error of the hub; None if no server answered."""
    from huggingface_hub.errors import HfHubHTTPError

    return error.response.status_code if isinstance(error, HfHubHTTPError) else None


def _is_unreachable(error: BaseException) -> bool:
    """Return whether the hub did not answer, or answered that it is broken."""
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    status = _status(error)
    if status is not None:
        return status >= 500 or status == 429
    if isinstance(error, OfflineModeIsEnabled | LocalEntryNotFoundError):
        return True
    return type(error).__module__.startswith("http") or isinstance(error, ConnectionError)


def _reason(error: BaseException) -> str:
    """Return why the hub was not reached, in a few words."""
    from huggingface_hub import constants
    from huggingface_hub.errors import OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set"
    status = _status(error)
    host = constants.ENDPOINT
    return f"{host} does not answer" if status is None else f"{host} answers {status}"


def _error(repository: Repository, error: Exception) -> UserError:
    """Return an error of the hub's client as one sentence with a remedy."""
    from huggingface_hub import constants, errors

    if isinstance(error, errors.LocalTokenNotFoundError):
        text = f"writing to {repository} needs a token of the hub: {LOG_IN}."
    elif isinstance(error, errors.GatedRepoError):
        address = f"{constants.ENDPOINT}/{repository.name}"
        text = f"{repository} is gated: ask for access at {address}, and {LOG_IN}."
    elif isinstance(error, errors.RevisionNotFoundError):
        text = f"{repository.name} has no revision '{repository.revision or 'main'}': name another."
    elif isinstance(error, errors.RemoteEntryNotFoundError):
        text = (
            f"{repository} holds no {MODEL}: name a repository that `fewshot fit --out "
            "hf:user/name` wrote."
        )
    elif isinstance(error, errors.RepositoryNotFoundError):
        text = f"{repository} does not exist, or is private: correct the name, or {LOG_IN}."
    elif _status(error) in (401, 403):
        text = f"{repository}: the hub denies access: {LOG_IN}, with a token that may do this."
    elif _is_unreachable(error):
        text = f"{repository} cannot be reached ({_reason(error)}): try again with a connection."
    else:
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        reason = one_line(cause) or type(cause).__name__
        text = f"{repository}: the hub's client failed ({reason.rstrip('.')}): try again."
    return UserError(text)
