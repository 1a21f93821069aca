"""Model files in repositories of the hub.

Oracle: the hub's own client, talking to a stand-in on this machine; bytes that went up come down.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fewshot.errors import UserError
from fewshot.model import hub
from fewshot.model.hub import MODEL, Repository
from tests.fewshot.model import hub_stand_in
from tests.fewshot.model.hub_stand_in import Hub, Repo


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub_stand_in.for_client(tmp_path, monkeypatch) as server:
        yield server


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hf:mia/pets", Repository("mia/pets")),
        ("hf:mia/pets@v1.0", Repository("mia/pets", "v1.0")),
        ("hf:mia/pets@refs/pr/1", Repository("mia/pets", "refs/pr/1")),
    ],
)
def test_names(name: str, expected: Repository):
    assert hub.is_hub(name)
    assert hub.is_hub(Path(name))
    assert not hub.is_hub(Path("hf/mia"))
    assert hub.parsed(name) == hub.parsed(Path(name)) == expected
    assert str(expected) == name


@pytest.mark.parametrize(
    "name",
    ["hf:pets", "hf:", "hf:a/b/c", "hf:../b", "hf:a/b@", "hf:a/b@../x", "hf:a b/c", "hf:a/b\n"],
)
def test_a_name_that_no_repository_has_is_refused(name: str):
    with pytest.raises(UserError, match="expected hf:user/name or hf:user/name@revision"):
        hub.parsed(name)


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # of the client itself
@pytest.mark.parametrize("large", [10**9, 100])  # inside the commit, and as with Git LFS
def test_what_goes_up_comes_down(stand_in: Hub, large: int, tmp_path: Path):
    stand_in.large = large
    (tmp_path / "file").write_bytes(bytes(range(256)) * 9)
    files = {MODEL: tmp_path / "file", "README.md": "# Pöts\n".encode()}
    assert hub.check_upload("hf:mia/pets") == Repository("mia/pets")
    assert stand_in.repos == {}  # nothing was written yet
    address = hub.upload("hf:mia/pets", files, public=False, message="First")
    assert address == f"{stand_in.endpoint}/mia/pets"
    repo = stand_in.repos["mia/pets"]
    assert repo.private
    assert repo.messages == ["First"]  # one commit
    assert repo.files == {MODEL: bytes(range(256)) * 9, "README.md": "# Pöts\n".encode()}
    assert any("PUT" in request for request in stand_in.requests) == (large == 100)
    assert hub.download("hf:mia/pets").read_bytes() == bytes(range(256)) * 9


def test_a_public_repository_is_asked_for(stand_in: Hub):
    hub.upload("hf:club/pets", {MODEL: b"1"}, public=True, message="First")
    assert not stand_in.repos["club/pets"].private


def test_a_repository_that_exists_gets_a_new_version_and_old_ones_stay(stand_in: Hub):
    for content in (b"1", b"22"):
        hub.upload("hf:mia/pets", {MODEL: content}, public=False, message="Version")
    repo = stand_in.repos["mia/pets"]
    assert hub.download("hf:mia/pets").read_bytes() == b"22"
    first = hub_stand_in._sha(repo, 1)
    assert hub.download(f"hf:mia/pets@{first}").read_bytes() == b"1"


def test_a_file_is_downloaded_once(stand_in: Hub):
    stand_in.repos["mia/pets"] = Repo(commits=[{MODEL: b"content"}])
    paths = {hub.local_file(Path("hf:mia/pets")) for _ in range(2)}
    assert len(paths) == 1
    assert sum(request.startswith("GET") for request in stand_in.requests) == 1
    assert hub.local_file("model.fewshot") == Path("model.fewshot")


def test_without_a_connection_the_cached_copy_is_used(
    stand_in: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    stand_in.repos["mia/pets"] = Repo(commits=[{MODEL: b"content"}])
    path = hub.download("hf:mia/pets")
    hub_stand_in.point_client_to("http://127.0.0.1:9", tmp_path, monkeypatch)
    assert hub.download("hf:mia/pets") == path
    assert "does not answer" in caplog.text
    with pytest.raises(UserError, match=r"cannot be reached .*does not answer"):
        hub.download("hf:mia/other")


def test_a_broken_server_is_no_reason_to_lose_the_copy(stand_in: Hub):
    stand_in.repos["mia/pets"] = Repo(commits=[{MODEL: b"content"}])
    path = hub.download("hf:mia/pets")
    stand_in.status = 503
    assert hub.download("hf:mia/pets") == path
    with pytest.raises(UserError, match=r"cannot be reached .*answers 503"):
        hub.download("hf:mia/other")


def test_offline_by_choice(stand_in: Hub, monkeypatch: pytest.MonkeyPatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set"):
        hub.download("hf:mia/pets")
    assert stand_in.requests == []


@pytest.mark.parametrize(
    ("repo", "name", "words"),
    [
        (None, "hf:mia/pets", "does not exist, or is private"),
        (Repo(private=True), "hf:mia/pets", "does not exist, or is private"),
        (Repo(gated=True), "hf:mia/pets", "is gated: ask for access at http"),
        (Repo(), "hf:mia/pets@v9", "has no revision 'v9'"),
        (Repo(commits=[{"README.md": b""}]), "hf:mia/pets", f"holds no {MODEL}"),
    ],
)
def test_why_nothing_is_downloaded(
    stand_in: Hub, repo: Repo | None, name: str, words: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody_else")
    if repo is not None:
        stand_in.repos["mia/pets"] = repo
    with pytest.raises(UserError, match=words) as error:
        hub.download(name)
    assert str(error.value).startswith(("hf:mia/pets", "mia/pets"))
    assert "\n" not in str(error.value)


def test_a_page_that_is_no_file_is_an_error(stand_in: Hub):
    stand_in.repos["mia/pets"] = Repo(commits=[{MODEL: b"content"}])
    stand_in.page = b"<html>Log in to the network of this hotel</html>"
    with pytest.raises(UserError, match="hf:mia/pets"):
        hub.download("hf:mia/pets")


def test_a_file_without_end_is_not_downloaded(stand_in: Hub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hub, "LARGEST_FILE", 5)
    stand_in.repos["mia/pets"] = Repo(commits=[{MODEL: b"content"}])
    with pytest.raises(UserError, match="too large for a model file"):
        hub.download("hf:mia/pets")
    assert not any(request.startswith("GET") for request in stand_in.requests)


def test_why_nothing_can_be_uploaded(stand_in: Hub, monkeypatch: pytest.MonkeyPatch):
    stand_in.repos["mia/other"] = Repo(commits=[{"pytorch_model.bin": b"1", "README.md": b""}])
    for name, words in (
        ("hf:tom/pets", "the token is of mia: name hf:mia/pets"),
        ("hf:mia/other", "holds no model.fewshot but other files, such as pytorch_model.bin"),
        ("hf:mia/pets@v1", "leave out @"),
    ):
        with pytest.raises(UserError, match=words):
            hub.check_upload(name)
    monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
    with pytest.raises(UserError, match="denies access"):
        hub.check_upload("hf:mia/pets")
    with pytest.raises(UserError, match="denies access"):
        hub.upload("hf:mia/pets", {MODEL: b"1"}, public=False, message="First")
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "/nowhere")
    with pytest.raises(UserError, match="needs a token"):
        hub.check_upload("hf:mia/pets")
    assert list(stand_in.repos) == ["mia/other"]
