"""Calls that could run what a file contains, or reach the network, are where they are allowed.

Oracle: sources with and without such a call, written here by hand.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("episodes", "fewshot")
PICKLES = ("pickle", "joblib", "dill", "cloudpickle", "shelve", "marshal", "pandas.read_pickle")
NETWORK = ("requests", "httpx", "aiohttp", "urllib.request", "http.client", "ftplib", "socket")
SAFE_LOADERS = {"SafeLoader", "CSafeLoader", "BaseLoader", "CBaseLoader"}

# What a file uses although it is forbidden, and why that is safe.
ALLOWED = {
    # An unpickler that builds NumPy arrays and plain containers, and refuses all other names.
    "episodes/datasets/arrays/restricted_pickle.py": {"pickle"},
    # Downloads that the user asked for by the name of a data set; the content has a checksum.
    "episodes/datasets/cifar10.py": {"http.client"},
    "episodes/datasets/omniglot.py": {"http.client"},
    # Whether a host of data or weights can be reached: proxies of the system, and one connection.
    "episodes/datasets/network.py": {"urllib.request", "socket", "asyncio.open_connection"},
    # Whether the other processes of a training, or the head of a cluster, can be reached.
    "fewshot/distributed.py": {"socket", "socket.create_connection"},
    "fewshot/studies/ray_executor.py": {"socket", "socket.create_connection"},
    # The demo page, which listens on this machine alone.
    "fewshot/app/server.py": {"socket"},
}


@cache
def sources() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def faults(code: str) -> Iterator[str]:
    """Yield what is forbidden in a source, by the name under which `ALLOWED` can list it."""
    tree = ast.parse(code)
    aliases = dict(_imported(tree))
    for module in aliases.values():
        for name in (*PICKLES, *NETWORK):
            if module == name or module.startswith(f"{name}."):
                yield name
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in ("0.0.0.0", "::"):
            yield "all addresses"
        if isinstance(node, ast.Assert) and _is_of_input(node):
            yield "assert"
        if isinstance(node, ast.Call):
            yield from _faults_of_call(node, _name(node.func, aliases))


def _imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield each imported name with the full name that it stands for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name, alias.name
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _name(node: ast.expr, aliases: dict[str, str]) -> str:
    """Return the full name of what is called, such as "torch.load"; of a method "?.load"."""
    if isinstance(node, ast.Name):
        return aliases.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value, aliases)}.{node.attr}"
    return "?"


def _faults_of_call(node: ast.Call, name: str) -> Iterator[str]:
    given = {word.arg: word.value for word in node.keywords}
    last = name.rpartition(".")[2]
    if name in ("eval", "exec", "compile", "__import__", "os.system", "os.popen"):
        yield name
    if name in ("asyncio.open_connection", "socket.create_connection", "pandas.read_pickle"):
        yield name
    if name in ("pandas.eval", "numpy.fromregex") or last == "read_pickle":
        yield name
    if "shell" in given and not _is(given["shell"], False):
        yield "shell"
    is_loader = name in ("torch.load", "timm.models.load_state_dict")
    if is_loader and not _is(given.get("weights_only"), True):
        yield "torch.load without weights_only=True"
    if name == "numpy.load" and "allow_pickle" in given and not _is(given["allow_pickle"], False):
        yield "np.load with pickles"
    if name in ("yaml.load", "yaml.load_all"):
        loader = given.get("Loader", node.args[1] if len(node.args) > 1 else None)
        if not isinstance(loader, ast.Attribute) or loader.attr not in SAFE_LOADERS:
            yield "yaml.load without a safe loader"
    if name.startswith("yaml.") and last in ("unsafe_load", "full_load", "unsafe_load_all"):
        yield "yaml.load without a safe loader"
    if name == "tempfile.mktemp":
        yield name
    is_own = name.startswith(PACKAGES)
    if last in ("extract", "extractall") and "." in name and not is_own and "filter" not in given:
        yield "unpacking without a filter"
    if name == "torch.hub.load" or name.startswith("torch.hub.load_state"):
        yield "torch.hub"
    if "trust_remote_code" in given and not _is(given["trust_remote_code"], False):
        yield "code of a hub"


def _is(node: ast.expr | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _is_of_input(node: ast.Assert) -> bool:
    """Return whether an assertion does more than state the type of a value.

    `python -O` removes assertions, so none may check what comes from outside.
    """
    test = node.test
    if isinstance(test, ast.Call) and isinstance(test.func, ast.Name):
        return test.func.id != "isinstance"
    is_comparison = isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.IsNot)
    return not (is_comparison and _is_none(test.comparators[0]))


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("eval('1')", "eval"),
        ("exec(text)", "exec"),
        ("compile(text, 'a', 'exec')", "compile"),
        ("import pickle", "pickle"),
        ("def f():\n    from joblib import load", "joblib"),
        ("import pandas as pd\npd.read_pickle(path)", "pandas.read_pickle"),
        ("import subprocess\nsubprocess.run(words, shell=True)", "shell"),
        ("import os\nos.system(words)", "os.system"),
        ("from os import popen as start\nstart(words)", "os.popen"),
        ("import yaml\nyaml.load(text)", "yaml.load without a safe loader"),
        ("import yaml\nyaml.load(text, yaml.Loader)", "yaml.load without a safe loader"),
        ("from yaml import full_load\nfull_load(text)", "yaml.load without a safe loader"),
        ("import torch\ntorch.load(path)", "torch.load without weights_only=True"),
        (
            "import torch\ntorch.load(path, weights_only=False)",
            "torch.load without weights_only=True",
        ),
        (
            "from timm.models import load_state_dict\nload_state_dict(path)",
            "torch.load without weights_only=True",
        ),
        ("import numpy as np\nnp.load(path, allow_pickle=True)", "np.load with pickles"),
        ("import tempfile\ntempfile.mktemp()", "tempfile.mktemp"),
        ("archive.extractall(folder)", "unpacking without a filter"),
        ("import urllib.request", "urllib.request"),
        ("from urllib import request", "urllib.request"),
        ("import socket", "socket"),
        ("import torch\ntorch.hub.load('a', 'b')", "torch.hub"),
        ("load(name, trust_remote_code=True)", "code of a hub"),
        ("listen('0.0.0.0')", "all addresses"),
        ("assert count > 0", "assert"),
        ("assert is_valid(text)", "assert"),
    ],
)
def test_each_fault_is_noticed(code: str, fault: str) -> None:
    assert fault in set(faults(code))


@pytest.mark.parametrize(
    "code",
    [
        "import re\nre.compile('a')",
        "model.eval()",
        "import torch\ntorch.load(path, 'cpu', weights_only=True)",
        "import numpy as np\nnp.load(path)\nnp.load(path, allow_pickle=False)",
        "import yaml\nyaml.safe_load(text)\nyaml.load(text, Loader=yaml.BaseLoader)",
        "import subprocess\nsubprocess.run(['git', 'status'])",
        "archive.extractall(folder, filter='data')",
        "from urllib.parse import unquote",
        "listen('127.0.0.1')",
        "assert value is not None\nassert isinstance(value, int)",
    ],
)
def test_what_is_harmless_is_no_fault(code: str) -> None:
    assert not set(faults(code))


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_forbidden_is_in_the_package(package: str) -> None:
    faults_by_file = {}
    for path in sources():
        name = path.relative_to(ROOT).as_posix()
        own = set(faults(path.read_text(encoding="utf-8"))) - ALLOWED.get(name, set())
        if name.startswith(package) and own:
            faults_by_file[name] = sorted(own)
    assert not faults_by_file


def test_every_exception_is_needed() -> None:
    for name, allowed in ALLOWED.items():
        assert allowed == set(faults((ROOT / name).read_text(encoding="utf-8"))) & allowed, name
