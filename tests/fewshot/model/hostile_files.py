"""Model files that are damaged or made to do harm, each from a good one.

The container is written here by the description in docs/model-file.md, without the package.
"""

from __future__ import annotations

import copy
import hashlib
import json
import random
import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

NAN, INFINITY = struct.pack("<f", float("nan")), struct.pack("<f", float("inf"))


class Parts(NamedTuple):
    """A model file in three parts, which may be changed.

    Attributes:
        about: the content of the key, without its hash.
        table: the tensors by name.
        data: their bytes.
    """

    about: dict[str, Any]
    table: dict[str, Any]
    data: bytearray


Change = Callable[[Parts], object]


def parts_of(content: bytes) -> Parts:
    """Return the parts of a good file."""
    length = int.from_bytes(content[:8], "little")
    table = json.loads(content[8 : 8 + length])
    about = json.loads(table.pop("__metadata__")["fewshot"])["about"]
    return Parts(about, table, bytearray(content[8 + length :]))


def whole(parts: Parts) -> bytes:
    """Return a file whose hashes are right, whatever its parts are."""
    about = {**parts.about, "data_sha256": hashlib.sha256(parts.data).hexdigest()}
    signed = json.dumps([about, parts.table], sort_keys=True, separators=(",", ":"))
    key = {"sha256": hashlib.sha256(signed.encode()).hexdigest(), "about": about}
    header = json.dumps({"__metadata__": {"fewshot": json.dumps(key)}, **parts.table}).encode()
    return with_header(header, bytes(parts.data))


def with_header(header: bytes, data: bytes) -> bytes:
    """Return a file with a header in JSON."""
    return len(header).to_bytes(8, "little") + header + data


def changed(content: bytes, change: Change) -> bytes:
    """Return a good file after a change of its parts, with hashes that are right again."""
    parts = copy.deepcopy(parts_of(content))
    change(parts)
    return whole(parts)


def damaged(content: bytes, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield 110 files that were damaged by chance."""
    rng = random.Random(seed)
    n_header = int.from_bytes(content[:8], "little")
    for number in range(60):
        wrong = bytearray(content)
        last = n_header if number % 2 else len(content) - 1
        at = rng.randint(0, last)
        wrong[at] ^= 1 << rng.randrange(8)
        yield f"bit flipped at {at}", bytes(wrong)
    for _ in range(25):
        n = rng.randrange(len(content))
        yield f"cut off at {n}", content[:n]
    for _ in range(10):
        at, n = rng.randrange(len(content)), rng.randint(1, 500)
        yield f"{n} bytes inserted at {at}", content[:at] + rng.randbytes(n) + content[at:]
    for _ in range(5):
        at, n = rng.randrange(len(content) - 500), rng.randint(1, 500)
        yield f"{n} bytes removed at {at}", content[:at] + content[at + n :]
    for length in (0, 1, 7, n_header - 1, n_header + 8, 2**31, 2**40, 2**63 - 1, 2**63, 2**64 - 1):
        yield f"header of {length} bytes", length.to_bytes(8, "little") + content[8:]


def _set(*place: Any) -> Change:
    """Return a change of the header: the keys that lead to a value, and the new value."""
    *keys, last, value = place

    def change(parts: Parts) -> None:
        inner: Any = parts.about
        for key in keys:
            inner = inner[key]
        inner[last] = value

    return change


def _tensor(name: str, key: str, value: Any) -> Change:
    return lambda parts: parts.table[name].update({key: value})


def _numbers(name: str, number: bytes) -> Change:
    """Return a change of the first number of a tensor."""

    def change(parts: Parts) -> None:
        start = parts.table[name]["data_offsets"][0]
        parts.data[start : start + len(number)] = number

    return change


def _options(**options: Any) -> Change:
    return lambda parts: parts.about["backbone"]["options"].update(options)


def _resized(name: str, shape: list[int]) -> Change:
    """Return a change that gives a tensor, with its bytes, another shape."""

    def change(parts: Parts) -> None:
        start, end = parts.table[name]["data_offsets"]
        n_bytes = 4
        for n in shape:
            n_bytes *= n
        parts.data[start:end] = bytes(n_bytes)
        for other in parts.table.values():
            other["data_offsets"] = [
                at + n_bytes - (end - start) if at >= end else at for at in other["data_offsets"]
            ]
        parts.table[name] = {
            "dtype": parts.table[name]["dtype"],
            "shape": shape,
            "data_offsets": [start, start + n_bytes],
        }

    return change


def _swapped(first: str, second: str) -> Change:
    def change(parts: Parts) -> None:
        table = parts.table
        table[first], table[second] = table[second], table[first]

    return change


def _many_tensors(parts: Parts) -> None:
    end = len(parts.data)
    for number in range(9000):
        parts.table[f"backbone.x{number}"] = {
            "dtype": "F32",
            "shape": [0],
            "data_offsets": [end, end],
        }


def _nested(parts: Parts) -> None:
    value: Any = 1
    for _ in range(500):
        value = [value]
    parts.about["backbone"]["options"]["width"] = value


CHANGES: dict[str, Change] = {
    # types, shapes and places of tensors
    "offsets beyond the file": _tensor("head.bias", "data_offsets", [2**40, 2**40 + 12]),
    "negative offsets": _tensor("head.bias", "data_offsets", [-12, 0]),
    "offsets that are not numbers": _tensor("head.bias", "data_offsets", ["0", "12"]),
    "offsets that are fractions": _tensor("head.bias", "data_offsets", [0.0, 12.0]),
    "one offset": _tensor("head.bias", "data_offsets", [0]),
    "offsets in the wrong order": _tensor("head.bias", "data_offsets", [12, 0]),
    "two tensors at one place": lambda parts: parts.table["head.centre"].update(
        data_offsets=parts.table["rejection.centre"]["data_offsets"]
    ),
    "half a type": _tensor("head.bias", "dtype", "F16"),
    "unknown type": _tensor("head.bias", "dtype", "F8_E4M3"),
    "a type that is a list": _tensor("head.bias", "dtype", ["F32"]),
    "integers for weights": _tensor("head.weight", "dtype", "I32"),
    "fractions for labels": _tensor("support.labels", "dtype", "F64"),
    "no shape": _tensor("head.bias", "shape", []),
    "negative shape": _tensor("head.bias", "shape", [-3]),
    "shape of strings": _tensor("head.bias", "shape", ["3"]),
    "shape that is a number": _tensor("head.bias", "shape", 3),
    "shape of 10**12": _tensor("head.bias", "shape", [10**12]),
    "shape of 10**30": _tensor("head.bias", "shape", [10**30]),
    "empty and large": _tensor("fold_scores", "shape", [0, 2**31]),
    "nine dimensions": _tensor("head.bias", "shape", [3, 1, 1, 1, 1, 1, 1, 1, 1]),
    "a further key": _tensor("head.bias", "code", "import os"),
    "weights and their transpose": _tensor("head.weight", "shape", [16, 3]),
    "another number of classes": _resized("head.bias", [4]),
    "another number of features": _resized("head.centre", [17]),
    "another number of images": _resized("support.clusters", [14]),
    "no test images": _resized("test.images", [0, 3, 32, 32]),
    "test images of another side": _resized("test.probabilities", [2, 3]),
    "a matrix of scores": _resized("fold_scores", [7, 1]),
    "swapped tensors": _swapped("head.weight", "support.features"),
    "swapped names of equal shape": _swapped("head.weight", "rejection.means"),
    "swapped layers": _swapped(
        "backbone.body.stages.0.0.weight", "backbone.body.stages.1.0.weight"
    ),
    "a missing tensor": lambda parts: parts.table.pop("head.bias"),
    "9,000 tensors": _many_tensors,
    "a tensor that nothing reads": lambda parts: parts.table.update(
        {"extra": {"dtype": "U8", "shape": [0], "data_offsets": [len(parts.data)] * 2}}
    ),
    "a weight that is no network's": lambda parts: parts.table.update(
        {"backbone.extra": {"dtype": "U8", "shape": [0], "data_offsets": [len(parts.data)] * 2}}
    ),
    # numbers
    "NaN in the head": _numbers("head.weight", NAN),
    "infinity in the head": _numbers("head.bias", INFINITY),
    "NaN in the network": _numbers("backbone.body.stages.3.1.running_var", NAN),
    "infinity in the network": _numbers("backbone.body.stages.3.1.running_var", INFINITY),
    "NaN in a score": _numbers("fold_scores", NAN),
    "NaN in the rejection": _numbers("rejection.centre", NAN),
    "NaN in the expected probabilities": _numbers("test.probabilities", NAN),
    "NaN in the features": _numbers("support.features", NAN),
    "a huge weight": _numbers("head.bias", struct.pack("<f", 1e38)),
    "a negative label": _numbers("support.labels", struct.pack("<q", -1)),
    "a label beyond the classes": _numbers("support.labels", struct.pack("<q", 3)),
    "other expected probabilities": _numbers("test.probabilities", struct.pack("<3f", 0, 0, 1)),
    "temperature NaN": _set("temperature", float("nan")),
    "temperature infinity": _set("temperature", float("inf")),
    "temperature zero": _set("temperature", 0.0),
    "another temperature": _set("temperature", 4.0),
    "temperature of text": _set("temperature", "hot"),
    "threshold NaN": _set("threshold", float("nan")),
    # versions and what is missing
    "a newer version": _set("format_version", 2),
    "version zero": _set("format_version", 0),
    "a version of text": _set("format_version", "1"),
    "version true": _set("format_version", True),
    "version 10**30": _set("format_version", 10**30),
    "no version": lambda parts: parts.about.pop("format_version"),
    "no classes": _set("classes", []),
    "one class": _set("classes", ["cat"]),
    "classes without end": _set("classes", ["x"] * 70_000),
    "a class of 5,000 letters": _set("classes", 0, "x" * 5000),
    "a class that is a number": _set("classes", 0, 7),
    "a class of half a character": _set("classes", 0, "\ud800"),
    "two classes of one name": _set("classes", 0, "dög"),
    "an empty class": _set("classes", 0, ""),
    "a missing name": lambda parts: parts.about["image_names"].pop(),
    "a name without end": _set("image_names", 0, "a" * 5000),
    "no card": lambda parts: parts.about.pop("card"),
    "a card of text": _set("card", "good"),
    "a note without end": _set("card", "notes", ["x" * 10**6]),
    "notes without end": _set("card", "notes", ["x"] * 70_000),
    "counts of other classes": _set("card", "class_counts", {"dog": 1}),
    "a key that no version has": _set("run", "rm -rf /"),
    "another kind of head": _set("recipe", "kind", "pickle"),
    "a prior without classes": _set("recipe", "prior", {"cat": -1}),
    "images of 10**9 pixels": _set("decoding", "size", 10**9),
    "images of no pixels": _set("decoding", "size", 0),
    "a fit of another kind": _set("decoding", "fit", "../../fit"),
}
NETWORKS: dict[str, Change] = {
    "a network of a folder": _set("backbone", "name", "local-dir:/tmp/evil"),
    "a network of the hub": _set("backbone", "name", "hf-hub:evil/evil"),
    "a network of a page": _set("backbone", "name", "https://huggingface.co/evil/evil"),
    "a network of the hub beside": _set("backbone", "name", "conv4+hf-hub:evil/evil"),
    "a network of a folder beside": _set(
        "backbone", "beside", [{"name": "local-dir:/etc", "weights": "none"}]
    ),
    "17 networks beside": _set("backbone", "beside", [{"name": "conv4"}] * 17),
    "an unknown network": _set("backbone", "name", "../../conv4"),
    "another network": _set("backbone", "name", "resnet"),
    "a network of timm": _set("backbone", "name", "resnet18"),
    "weights of a file": _set("backbone", "weights", "/etc/passwd"),
    "published weights": _set("weights_inside", False),
    "input of 10**9 pixels": _set("backbone", "input_size", 10**9),
    "input of 1,025 pixels": _set("backbone", "input_size", 1025),
    "input of 512 pixels": _set("backbone", "input_size", 512),
    "an input of no pixels": _set("backbone", "input_size", 0),
    "an unknown setting": _set("backbone", "code", "import os"),
    "10**9 filters": _options(width=10**9),
    "65,536 filters": _options(width=65_536),
    "5 filters": _options(width=5),
    "an option of text": _options(width="4; import os"),
    "an unknown option": _options(hidden=1),
    "a nested option": _nested,
    "options without end": lambda parts: parts.about["backbone"].update(
        options={str(number): number for number in range(10_000)}
    ),
    "other statistics": _set("statistics", "", [[0.0] * 3, [0.0] * 3]),
    "statistics of no network": _set("statistics", "body", [[0.0] * 3, [1.0] * 3]),
    "weights of timm": lambda parts: parts.about["backbone"].update(
        name="resnet18", options={"pretrained": True}
    ),
    "a checkpoint": lambda parts: parts.about["backbone"].update(
        name="resnet18", options={"checkpoint_path": "/tmp/evil.pth"}
    ),
    "a configuration of timm": lambda parts: parts.about["backbone"].update(
        name="resnet18", options={"pretrained_cfg": {"file": "/tmp/evil.pth"}}
    ),
    "a million blocks": lambda parts: parts.about["backbone"].update(
        name="resnet", options={"blocks": 60_000, "width": 1}
    ),
    "stages without end": lambda parts: parts.about["backbone"].update(
        name="mini-resnet", options={"widths": [1] * 400}
    ),
}


def headers(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield files whose header is JSON of a kind that no program writes, or no JSON at all."""
    parts = parts_of(content)
    data = bytes(parts.data)
    good = content[8 : 8 + int.from_bytes(content[:8], "little")]
    key = b'"head.bias": '
    entry = good[good.index(key) : good.index(b"}", good.index(key)) + 1]
    yield "a tensor twice", with_header(good.replace(entry, entry + b", " + entry, 1), data)
    yield "two kinds of metadata", with_header(b'{"__metadata__": {}, ' + good[1:], data)
    yield "a list", with_header(b"[]", data)
    yield "null", with_header(b"null", data)
    yield "nothing but metadata", with_header(b'{"__metadata__": {"fewshot": "{}"}}', b"")
    yield "metadata of a list", with_header(b'{"__metadata__": []}', b"")
    yield "brackets without end", with_header(b"[" * 200_000, data)
    yield "a number without end", with_header(b'{"a": ' + b"9" * 200_000 + b"}", data)
    yield "bytes of no encoding", with_header(b'{"\xff\xfe": 1}', data)
    yield "another program's file", with_header(b'{"__metadata__": {"format": "pt"}}', b"")
    yield "a pickle", b"\x80\x04cos\nsystem\n(S'touch /tmp/evil'\ntR."
    yield "a zip file", b"PK\x03\x04" + bytes(1000)
    yield "an empty file", b""
    yield "zeros", bytes(10_000)
