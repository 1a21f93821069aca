"""A stand-in for the Hugging Face Hub on this machine: the part of its interface that we use.

It speaks HTTP to the client of the hub, stores files in memory, and fails on demand.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

OWNER, TOKEN = "mia", "hf_stand_in"
ADDRESSES = "/{repo_id}/resolve/{revision}/{filename}"


@dataclass
class Repo:
    """A repository: its commits, each with all files, and who may read it."""

    private: bool = False
    gated: bool = False
    commits: list[dict[str, bytes]] = field(default_factory=lambda: [{}])
    messages: list[str] = field(default_factory=list)

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[-1]


@dataclass
class Hub:
    """The state of the stand-in.

    Attributes:
        endpoint: its address.
        repos: repositories by name.
        requests: what was asked, as "METHOD path".
        large: files from this size on are uploaded on their own, as with Git LFS.
        objects: what was uploaded so, by hash.
        cards: the cards that it was asked to check.
        status: the status that every answer has; None for the true one.
        page: what every answer says instead, if it is set.
    """

    endpoint: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    large: int = 10**9
    objects: dict[str, bytes] = field(default_factory=dict)
    cards: list[str] = field(default_factory=list)
    status: int | None = None
    page: bytes | None = None


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(
        self,
        status: int,
        content: Any = None,
        error: str = "",
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        if self.hub.page is not None:
            status, body, headers, error = 200, self.hub.page, MappingProxyType({}), ""
        if self.hub.status is not None:
            status, error = self.hub.status, ""
        self.send_response(status)
        if error:
            self.send_header("X-Error-Code", error)
            self.send_header("X-Error-Message", error)
        length = headers.get("Content-Length", str(len(body)))
        for key, value in {**headers, "Content-Length": length}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            content = b""
            while size := int(self.rfile.readline(), 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return content
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _is_owner(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _readable(self, name: str) -> Repo | None:
        """Return a repository, or answer why it cannot be read."""
        repo = self.hub.repos.get(name)
        if repo is None or (repo.private and not self._is_owner()):
            self._answer(401 if not self._is_owner() else 404, {}, "RepoNotFound")
            return None
        if repo.gated and not self._is_owner():
            self._answer(403, {}, "GatedRepo")
            return None
        return repo

    def _head_or_get(self) -> None:
        parts = urlsplit(self.path).path.strip("/").split("/")
        self.hub.requests.append(f"{self.command} {self.path}")
        if parts[:2] == ["api", "whoami-v2"]:
            if self._is_owner():
                self._answer(200, {"name": OWNER, "orgs": [{"name": "club"}]})
            else:
                self._answer(401, {"error": "Invalid credentials"})
        elif parts[:2] == ["api", "models"]:
            if (repo := self._readable("/".join(parts[2:4]))) is not None:
                siblings = [{"rfilename": name} for name in repo.files]
                about = {"id": "/".join(parts[2:4]), "sha": _sha(repo), "siblings": siblings}
                self._answer(
                    200,
                    about
                    if len(parts) == 4 or parts[4] == "revision"
                    else [
                        {"type": "file", "path": name, "size": len(content), "oid": "0"}
                        for name, content in repo.files.items()
                    ],
                )
        elif "resolve" in parts:
            self._resolve("/".join(parts[:2]), unquote(parts[3]), "/".join(parts[4:]))
        else:
            self._answer(404, {})

    def _resolve(self, name: str, revision: str, file: str) -> None:
        if (repo := self._readable(name)) is None:
            return
        revisions = {"main": len(repo.commits) - 1}
        revisions |= {_sha(repo, at): at for at in range(len(repo.commits))}
        if revision not in revisions:
            return self._answer(404, {}, "RevisionNotFound")
        content = repo.commits[revisions[revision]].get(file)
        if content is None:
            return self._answer(404, {}, "EntryNotFound")
        self._answer(
            200,
            content,
            headers={
                "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
                "X-Repo-Commit": _sha(repo, revisions[revision]),
                "Content-Length": str(len(content)),
            },
        )

    do_GET = do_HEAD = _head_or_get

    def do_PUT(self) -> None:
        self.hub.requests.append(f"{self.command} {self.path}")
        self.hub.objects[self.path.split("/")[-1]] = self._body()
        self._answer(200, {})

    def do_POST(self) -> None:
        url, body = urlsplit(self.path), self._body()
        self.hub.requests.append(f"{self.command} {url.path}")
        parts = url.path.strip("/").split("/")
        if url.path == "/api/validate-yaml":
            self.hub.cards.append(json.loads(body)["content"])
            return self._answer(200, {"errors": [], "warnings": []})
        if not self._is_owner():
            return self._answer(401, {"error": "Invalid credentials"})
        if url.path == "/api/repos/create":
            self._create(json.loads(body))
        elif "preupload" in parts:
            files = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["size"] >= self.hub.large else "regular",
                    "shouldIgnore": False,
                }
                for file in json.loads(body)["files"]
            ]
            self._answer(200, {"files": files})
        elif url.path.endswith("/objects/batch"):
            objects = [
                {**one, "actions": {"upload": {"href": f"{self.hub.endpoint}/lfs/{one['oid']}"}}}
                for one in json.loads(body)["objects"]
            ]
            self._answer(200, {"transfer": "basic", "objects": objects})
        elif "commit" in parts:
            self._commit("/".join(parts[2:4]), body)
        else:
            self._answer(404, {})

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked.get('organization') or OWNER}/{asked['name']}"
        if name in self.hub.repos:
            address = f"{self.hub.endpoint}/{name}"
            return self._answer(409, {"error": "You already created this repo", "url": address})
        private = asked.get("private") or asked.get("visibility") == "private"
        self.hub.repos[name] = Repo(private=bool(private))
        self._answer(200, {"url": f"{self.hub.endpoint}/{name}", "name": name, "id": name})

    def _commit(self, name: str, body: bytes) -> None:
        repo, files = self.hub.repos[name], {}
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                repo.messages.append(value["summary"])
            elif entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            else:
                files[value["path"]] = self.hub.objects[value["oid"]]
        repo.commits.append({**repo.files, **files})
        address = f"{self.hub.endpoint}/{name}/commit/{_sha(repo)}"
        self._answer(200, {"commitUrl": address, "commitOid": _sha(repo), "success": True})


def _sha(repo: Repo, at: int = -1) -> str:
    number = at % len(repo.commits)
    content = repr((number, sorted(repo.commits[number].items())))
    return hashlib.sha1(content.encode()).hexdigest()


@contextmanager
def running() -> Iterator[Hub]:
    """Run a stand-in on a free port of this machine for the duration of the block."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def for_client(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Run a stand-in that the hub's client in this process takes for the hub."""
    with running() as hub:
        point_client_to(hub.endpoint, folder, monkeypatch)
        yield hub


def point_client_to(endpoint: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the hub's client in this process use an address, a cache in a folder and our token."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + ADDRESSES)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(time, "sleep", lambda _: None)  # between the client's tries
