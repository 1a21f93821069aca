"""The work of a prediction: chunks of files, each decoded, classified and stored once."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from episodes.datasets.decoding.image_formats import quiet_pillow
from episodes.datasets.decoding.parallel_decode import decoded_chunks
from episodes.datasets.stamps import stamp
from fewshot import io, progress
from fewshot.errors import UserError
from fewshot.model import conformal, image_listing, prediction_formats
from fewshot.model.image_listing import Listing, NotRead
from fewshot.model.partial_file import Parts
from fewshot.model.prediction_formats import Format, Prediction
from fewshot.model.predictor import Predictor
from fewshot.model.sorted_copies import SortedCopies

LEFT_OUT = "-left-out.csv"  # ending of the table of files that could not be read


@dataclass(frozen=True)
class Asked:
    """What is asked for each image.

    Args:
        top: how many of the best classes to write.
        coverage: share of prediction sets that contain the true class; None for no sets.
        exact: whether the sets come from fitting the classifier again with the image in each class.
    """

    top: int = 1
    coverage: float | None = None
    exact: bool = False


PLAIN = Asked()


class _Chunk(NamedTuple):
    """Files that are classified at once, and the key under which their part is stored."""

    key: str
    names: list[str]


class _Part(NamedTuple):
    """What came of a chunk.

    Attributes:
        predictions: of the files that could be read, in their order.
        broken: name of each other file, and the reason.
    """

    predictions: list[Prediction]
    broken: dict[str, str]

    @classmethod
    def from_json(cls, content: Any) -> _Part:
        return cls([Prediction(*values) for values in content[0]], content[1])


class Work:
    """The prediction of a list of files.

    Attributes:
        n_images, n_refused: images that have a line, and those of them that are refused.
        left_out: files without one.
        table: the table of the files that could not be read; None if there is none.

    Args:
        ready: the classifier.
        asked: what to compute for each image.
        files: the images.
        lines: the format of the output.
        copies: where copies are sorted; None for none.
    """

    def __init__(
        self,
        ready: Predictor,
        asked: Asked,
        files: Listing,
        lines: Format,
        copies: SortedCopies | None,
    ) -> None:
        self.ready, self.asked, self.files = ready, asked, files
        self.lines, self.copies = lines, copies
        self.n_images, self.n_refused = 0, 0
        self.left_out: list[NotRead] = [*files.unreadable, *files.others]
        self.table: Path | None = None

    def print(self, skip_broken: bool) -> None:
        """Print a line for each image as soon as it is classified."""
        chunks = self._chunks()
        broken: list[NotRead] = []
        for text in self._texts(self._computed(chunks, 0), broken):
            sys.stdout.write(text)
            sys.stdout.flush()
        self._check(broken, skip_broken, "the lines of all others are printed")

    def write(self, out: Path, skip_broken: bool) -> None:
        """Write a file with a line for each image, by way of parts that are stored beside it."""
        chunks = self._chunks()
        with Parts(out) as parts:
            # Broken files may have been repaired since, unless they are to be skipped.
            missing = [
                chunk
                for chunk in chunks
                if chunk.key not in parts
                or (_Part.from_json(parts[chunk.key]).broken and not skip_broken)
            ]
            n_done = len(self.files.names) - sum(len(chunk.names) for chunk in missing)
            for chunk, part in self._computed(missing, n_done):
                parts[chunk.key] = part
            stored = ((chunk, _Part.from_json(parts[chunk.key])) for chunk in chunks)
            broken = [
                NotRead(name, reason) for _, part in stored for name, reason in part.broken.items()
            ]
            self._check(broken, skip_broken, "all other images are done and stored")
            stored = ((chunk, _Part.from_json(parts[chunk.key])) for chunk in chunks)
            io.write_bytes(out, (text.encode() for text in self._texts(stored, [])))
            self._write_table(out, [*self.files.unreadable, *broken])
            parts.remove()

    def _check(self, broken: list[NotRead], skip_broken: bool, done: str) -> None:
        """Add broken files to those left out; raise UserError if none may be, or all are."""
        if broken and not skip_broken:
            raise UserError(
                f"{image_listing.summary(broken)}; {done}: repair or remove these and repeat the "
                "command, or use --skip-broken to leave them out."
            )
        if len(broken) == len(self.files.names):
            raise UserError(f"no file could be read as an image: {image_listing.summary(broken)}.")
        self.left_out += broken

    def _write_table(self, out: Path, broken: list[NotRead]) -> None:
        """Write or remove the table of the files that could not be read."""
        path = out.with_name(out.stem + LEFT_OUT)
        if broken and not self.lines.names_broken:
            io.write_bytes(path, prediction_formats.table_of_broken(broken).encode())
            self.table = path
        elif path.is_file():
            path.unlink()

    def _texts(self, parts: Iterable[tuple[_Chunk, _Part]], broken: list[NotRead]) -> Iterator[str]:
        """Yield the output, and copy each image that has a line; broken files are added to a list.

        The files that could not even be opened as images come last.
        """
        yield self.lines.begin()
        for chunk, part in parts:
            predictions = iter(part.predictions)
            for name in chunk.names:
                if name in part.broken:
                    broken.append(NotRead(name, part.broken[name]))
                    yield self.lines.broken(name, part.broken[name])
                    continue
                prediction = next(predictions)
                self.n_images += 1
                self.n_refused += bool(prediction.refused)
                if self.copies is not None:
                    self.copies.add(
                        self.files.folder / name, prediction.labels[0], prediction.refused
                    )
                yield self.lines.line(name, prediction)
        for file in self.files.unreadable:
            yield self.lines.broken(file.name, file.reason)
        yield self.lines.end()

    def _chunks(self) -> list[_Chunk]:
        """Split the files into chunks that are classified at once."""
        size, names = self.ready.batch_size, self.files.names
        groups = [names[start : start + size] for start in range(0, len(names), size)]
        return [_Chunk(self._key(group), group) for group in groups]

    def _key(self, names: list[str]) -> str:
        """Hash what decides the predictions of files: classifier, names, sizes and times."""
        digest = hashlib.sha256(f"{self.ready.fingerprint} {self.asked}".encode())
        for name in names:
            path = self.files.folder / name
            try:
                stat = os.stat(path)
            except OSError as error:
                raise UserError(f"{path} can no longer be read ({error.strerror}).") from None
            digest.update(os.fsencode(name) + f"\0{stamp(stat)}\n".encode())
        return digest.hexdigest()[:32]

    def _computed(self, chunks: list[_Chunk], n_done: int) -> Iterator[tuple[_Chunk, _Part]]:
        """Classify chunks, while the images of the following ones are decoded."""
        report = _Progress(n_done, len(self.files.names))
        folder = self.files.folder
        with quiet_pillow():
            decoded = decoded_chunks(
                ([folder / name for name in names] for _, names in chunks), self.ready.decoding
            )
            for chunk, (pixels, reasons, _) in zip(chunks, decoded, strict=True):
                pairs = zip(chunk.names, reasons, strict=True)
                broken = {name: reason for name, reason in pairs if reason is not None}
                yield chunk, _Part(self._predictions(pixels), broken)
                report(len(chunk.names))

    def _predictions(self, pixels: np.ndarray) -> list[Prediction]:
        """Return what is predicted for pixels uint8 [n, 3, side, side]."""
        if not len(pixels):
            return []
        ready, asked = self.ready, self.asked
        predicted = ready.classify(pixels)
        # Of equal logits the first class comes first, as with argmax.
        order = predicted.logits.argsort(stable=True, dim=1, descending=True)
        best = order[:, : asked.top]
        probabilities = predicted.logits.softmax(1)
        rows = zip(best.tolist(), probabilities.gather(1, best).tolist(), strict=True)
        if ready.model is None or predicted.known is None or predicted.features is None:
            return [Prediction(labels, shares) for labels, shares in rows]
        threshold = ready.model.rejection.threshold
        known = predicted.known.tolist()
        members: list[list[int] | None] = [None] * len(known)
        if asked.coverage is not None:
            if asked.exact:
                sets = conformal.exact_sets(ready.model, predicted.features, asked.coverage)
            else:
                sets = conformal.sets(ready.model.fold_scores, probabilities, asked.coverage)
            members = [
                [label for label in ranked if row[label]]
                for ranked, row in zip(order.tolist(), sets.tolist(), strict=True)
            ]
        return [
            Prediction(labels, shares, score, score < threshold, own)
            for (labels, shares), score, own in zip(rows, known, members, strict=True)
        ]


class _Progress:
    """Report how many images are done, how many a second, and how long the rest takes."""

    def __init__(self, done: int, total: int) -> None:
        self.done, self.total = done, total
        self.done_at_start, self.started = done, time.perf_counter()

    def __call__(self, newly_done: int) -> None:
        self.done += newly_done
        per_second = (self.done - self.done_at_start) / (time.perf_counter() - self.started)
        seconds = (self.total - self.done) / per_second
        left = f"{seconds / 60:.0f} min" if seconds >= 100 else f"{seconds:.0f} s"
        progress.update(
            f"{self.done:,} of {self.total:,} images, {per_second:.0f} a second, {left} left"
        )
