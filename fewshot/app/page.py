"""The page: what happens when one of its components is used.

Import this module only through `server`, which first turns off the reports of Gradio.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from fewshot import progress
from fewshot.app import views, words
from fewshot.app.components import ALL, Components, Panel
from fewshot.app.photos import File
from fewshot.app.session import Session
from fewshot.errors import UserError

NEAREST = "The labelled photos most like it:"
TITLE = "fewshot: a classifier of your own photos"

# On a phone the panel lies below the photos, out of sight.
SCROLL = """() => { if (innerWidth <= 640) setTimeout(
    () => document.getElementById("%s")?.scrollIntoView({behavior: "smooth"}), 100) }"""

SHOWN = gr.Progress()  # Gradio gives each call its own
Updates = dict[Any, Any]  # component -> its new value or properties


class Page:
    """The page of a session.

    Attributes:
        blocks: the page, as Gradio serves it.

    Args:
        session: what it shows.
        uploads: folder in which Gradio stores what the browser sends.
        notes: sentences that are shown when the page opens, about how the session began.
    """

    def __init__(self, session: Session, uploads: Path, notes: list[str]) -> None:
        self.session, self.uploads, self.notes = session, uploads.resolve(), notes
        self.shown_class = ALL
        with gr.Blocks(title=TITLE, analytics_enabled=False) as self.blocks:
            gr.HTML(f"<h1>{TITLE}</h1>")
            self.parts = Components()
            self._connect()

    def _connect(self) -> None:
        """Say what happens when a component is used."""
        parts, outputs = self.parts, self.parts.all()
        self.blocks.load(self._begin, None, outputs, api_visibility="private")
        several = {"trigger_mode": "multiple"}  # Gradio would lose photos dropped during a fit
        _on(parts.class_files.upload, self._add_to_class, _inputs(parts), outputs, **several)
        _on(parts.pile_files.upload, self._add_to_pile, [parts.pile_files], outputs, **several)
        labelled, suggested, results = parts.panels
        shown = [parts.labelled, *parts.of_panel(labelled)]
        _on(parts.filter.input, self._filter, [parts.filter], shown)
        events = (
            (labelled, parts.labelled.select, _index),
            (suggested, parts.suggested.select, _index),
            (results, parts.table.select, _row),
        )
        for panel, event, position in events:
            opened = _on(event, self._open(panel, position), [panel.keys], parts.of_panel(panel))
            opened.then(None, None, None, js=SCROLL % panel.box.elem_id, api_visibility="private")
        for panel in parts.panels:
            for component, event in (
                (panel.choice, panel.choice.input),
                (panel.new_class, panel.new_class.submit),
            ):
                _on(event, self._label(panel), [panel.key, component], outputs)
            for button, what in ((panel.unlabel, "unlabel"), (panel.remove, "remove")):
                _on(button.click, self._change(panel, what), [panel.key], outputs)

    def _begin(self) -> Updates:
        """Show everything when the page is opened, or opened again."""
        notes, self.notes = self.notes, []
        for note in notes:
            gr.Info(escape(note), duration=20)
        return self._all()

    def _add_to_class(self, paths: list[str], name: str, shown: gr.Progress = SHOWN) -> Updates:
        return self._add(paths, name, shown)

    def _add_to_pile(self, paths: list[str], shown: gr.Progress = SHOWN) -> Updates:
        return self._add(paths, None, shown)

    def _add(self, paths: list[str], label: str | None, shown: gr.Progress) -> Updates:
        """Add uploaded files to a class, or to those without a label."""
        files = [self._upload(Path(path)) for path in paths]
        try:
            with progress.shown_by(lambda text: shown(0.5, desc=text)):
                result = self.session.add(files, label)
        except UserError as error:
            gr.Warning(escape(str(error)))
        else:
            show = gr.Warning if result.broken else gr.Info
            show(escape(words.added(result)))
        finally:
            for file in files:
                file.path.unlink(missing_ok=True)
        return self._all()

    def _upload(self, path: Path) -> File:
        """Return an uploaded file; Gradio passes on no other."""
        path = path.resolve()
        if not path.is_relative_to(self.uploads):
            raise gr.Error("this file was not uploaded", print_exception=False)
        return File(path, path.name, is_upload=True)

    def _filter(self, name: str) -> Updates:
        """Show the labelled photos of one class, or of all."""
        self.shown_class = name
        shown = views.labelled(self.session, self._class_shown())
        return {self.parts.labelled: _photos(shown), **self._panel(0, "", shown.keys)}

    def _open(
        self, panel: Panel, position: Callable[[gr.SelectData], int]
    ) -> Callable[..., Updates]:
        """Return what shows the photo that is clicked."""
        number = self.parts.panels.index(panel)

        def clicked(keys: list[str], event: gr.SelectData) -> Updates:
            at = position(event)
            return self._panel(number, keys[at] if at < len(keys) else "", keys)

        return clicked

    def _label(self, panel: Panel) -> Callable[[str, str], Updates]:
        """Return what gives the photo of a panel a label."""
        return lambda key, name: self._apply(panel, key, lambda: self.session.label(key, name))

    def _change(self, panel: Panel, what: str) -> Callable[[str], Updates]:
        """Return what takes away the label of the photo of a panel, or removes the photo."""
        change = self.session.unlabel if what == "unlabel" else self.session.remove
        return lambda key: self._apply(panel, key, lambda: change(key))

    def _apply(self, panel: Panel, key: str, change: Callable[[], None]) -> Updates:
        """Change a photo, and show what comes of it."""
        if key in self.session.photos:  # another window may have removed it
            try:
                change()
            except UserError as error:
                gr.Warning(escape(str(error)))
        return self._all(self.parts.panels.index(panel), key)

    def _all(self, number: int = -1, key: str = "") -> Updates:
        """Return the new state of all components.

        Args:
            number: of the panel that was used; it still shows its photo, if that is still beside
                it.
            key: of its photo.
        """
        session, parts = self.session, self.parts
        with session.lock:
            names = [ALL, *session.classes]
            if self.shown_class not in names:
                self.shown_class = ALL
            labelled = views.labelled(session, self._class_shown())
            suggested, table = views.suggested(session), views.table(session)
            updates: Updates = {
                parts.status: words.status(session),
                parts.downloads: words.downloads(session),
                parts.class_files: None,
                parts.pile_files: None,
                parts.filter: gr.update(choices=names, value=self.shown_class),
                parts.labelled: _photos(labelled),
                parts.suggested: _photos(suggested),
                parts.table: table.rows,
            }
            for own, keys in enumerate((labelled.keys, suggested.keys, table.keys)):
                first = keys[0] if own == SUGGESTED and keys else ""
                shown = key if own == number and key in keys else first
                updates |= self._panel(own, shown, keys)
        return updates

    def _panel(self, number: int, key: str, keys: list[str]) -> Updates:
        """Return the new state of a panel; without a photo it is hidden."""
        panel = self.parts.panels[number]
        shown = views.detail(self.session, key)
        if shown is None:
            return {panel.key: "", panel.keys: keys, panel.box: gr.update(visible=False)}
        text = f"<b>{escape(shown.title)}</b><br>{escape(shown.text)}"
        return {
            panel.key: key,
            panel.keys: keys,
            panel.box: gr.update(visible=True),
            panel.picture: shown.picture,
            panel.text: text,
            panel.choice: gr.update(
                choices=list(self.session.classes),
                value=shown.label,
                visible=bool(self.session.classes),
            ),
            panel.new_class: "",
            panel.unlabel: gr.update(visible=shown.label is not None),
            panel.nearest: gr.update(
                value=f"<p class='hint'>{NEAREST} {escape(shown.others)}</p>",
                visible=bool(shown.neighbours or shown.others),
            ),
            panel.neighbours: gr.update(
                value=shown.neighbours, visible=bool(shown.neighbours), selected_index=None
            ),
        }

    def _class_shown(self) -> str | None:
        return None if self.shown_class == ALL else self.shown_class


SUGGESTED = 1  # number of the panel beside the suggested photos


def _photos(shown: views.Shown) -> Any:
    return gr.update(value=shown.items, selected_index=None)


def _inputs(parts: Components) -> list[Any]:
    return [parts.class_files, parts.class_name]


def _index(event: gr.SelectData) -> int:
    return int(event.index)


def _row(event: gr.SelectData) -> int:
    """Return the place of a row before the user sorted the table: its first cell is its number."""
    return int(event.row_value[0]) - 1


def _on(
    event: Any,
    change: Callable[..., Updates],
    inputs: list[Any],
    outputs: list[Any],
    trigger_mode: str = "once",
) -> Any:
    """Connect an event; with `once`, it is ignored while its last change is under way."""
    return event(
        change,
        inputs,
        outputs,
        api_visibility="private",
        show_progress="minimal",
        trigger_mode=trigger_mode,
    )
