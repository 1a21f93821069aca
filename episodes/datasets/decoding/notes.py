"""Sentences for the user about images that were skipped, cropped or converted."""

from __future__ import annotations

from collections.abc import Sequence

from episodes.datasets.decoding.deep_pixels import KINDS, range_in
from episodes.datasets.decoding.image_cache import Entry
from episodes.datasets.source import few, images


def skip_note(unit: str, entries: Sequence[Entry]) -> str:
    """Return a note about the images that were skipped, by reason, or an empty string.

    Args:
        unit: what one image is, in the plural: "files" or "rows".
        entries: all parts of the data set.
    """
    names_of: dict[str, list[str]] = {}
    for entry in entries:
        for name, reason in entry.skipped:
            names_of.setdefault(reason, []).append(name)
    if not names_of:
        return ""
    by_count = sorted(names_of.items(), key=lambda item: -len(item[1]))
    total = sum(entry.total for entry in entries)
    n_skipped = sum(map(len, names_of.values()))
    reasons = "; ".join(f"{few(names)} ({reason})" for reason, names in by_count)
    return f"skipped {n_skipped:,} of {total:,} {unit}: {reasons}"


def decoding_notes(entries: Sequence[Entry]) -> list[str]:
    """Return notes about how the images of all parts of a data set were decoded."""
    counts = [entry.counts for entry in entries]
    notes = []
    total = sum(len(entry.labels) for entry in entries)
    if cropped := sum(own["cropped"] for own in counts):
        share = sum(own["cut_off"] for own in counts) / cropped
        verb = "is" if cropped == 1 else "are"
        notes.append(
            f"{cropped:,} of {total:,} images {verb} not square: margins are cut "
            f"off, on average {share:.0%} of the area; `--set image_fit=squeeze` or `pad` "
            "keeps all of it"
        )
    for kind in KINDS:
        n_deep = sum(own["deep"].get(kind, 0) for own in counts)
        levels = range_in(entries[0].decoding, kind)
        if n_deep and levels and levels != (0, 65535):
            notes.append(
                f"{images(n_deep)} of {kind} values: {levels.black:,g} is taken as black and "
                f"{levels.white:,g} as white"
            )
    if dim := sum(own["dim"] for own in counts):
        notes.append(
            f"nearly black: {images(dim)} of more than 8 bits per channel, with less than a "
            "sixteenth of the range of the data set; save all images with one range"
        )
    if clipped := sum(own["clipped"] for own in counts):
        notes.append(
            f"partly too bright: {images(clipped)} of more than 8 bits per channel, with values "
            "beyond the range of the data set, which become white"
        )
    if paged := [name for own in counts for name in own["paged"]]:
        notes.append(
            f"only the first page or frame is used of {images(len(paged))} with several: "
            f"{few(paged)}"
        )
    return notes
