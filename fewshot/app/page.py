"""The page itself: its components in Gradio, and what happens when one is used.

Import this module only through `server`, which first tells Gradio to report nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from fewshot import progress
from fewshot.app import views, words
from fewshot.app.photos import File
from fewshot.app.session import Session
from fewshot.errors import UserError

HERE = Path(__file__).parent
STYLE = HERE / "page.css"
TITLE = "fewshot: a classifier of your own photos"
ALL = "all classes"
FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]
DOWNLOADS = """
<div class="downloads">
<a href="download/model.fewshot" download>Model <small>model.fewshot: use it with
<code>fewshot predict</code> or <code>FewShotClassifier.load</code></small></a>
<a href="download/predictions.csv" download>Predictions <small>predictions.csv: a row for each
photo without a label</small></a>
<a href="download/labels.csv" download>Labels <small>labels.csv: use it with
<code>fewshot fit labels.csv</code></small></a>
</div>
"""

Updates = dict[Any, Any]


@dataclass
class Panel:
    """The components that show one photo and take its label.

    Attributes:
        key: state: the key of the photo; empty without one.
        keys: state: the keys of the photos beside it, in order.
    """

    key: gr.State
    keys: gr.State
    box: gr.Column
    picture: gr.Image
    text: gr.HTML
    choice: gr.Radio
    new_class: gr.Textbox
    unlabel: gr.Button
    remove: gr.Button
    neighbours: gr.Gallery


class Page:
    """The page of a session.

    Attributes:
        blocks: the page, as Gradio serves it.

    Args:
        session: what it shows.
        uploads: folder in which Gradio stores what the browser sends.
        notes: sentences that are shown once, about how the session began.
    """

    def __init__(self, session: Session, uploads: Path, notes: list[str]) -> None:
        self.session, self.uploads, self.notes = session, uploads.resolve(), notes
        self.panels: list[Panel] = []
        with gr.Blocks(title=TITLE, analytics_enabled=False) as self.blocks:
            gr.HTML(f"<h1>{TITLE}</h1>")
            self.status = gr.HTML(elem_id="status")
            with gr.Tabs():
                with gr.Tab("1. Add photos"):
                    self._build_adding()
                with gr.Tab("2. Label next"):
                    self._build_suggested()
                with gr.Tab("3. Results"):
                    self._build_results()
                with gr.Tab("4. Download"):
                    gr.HTML(DOWNLOADS)
            self._connect()

    def _build_adding(self) -> None:
        with gr.Row():
            with gr.Column(min_width=280):
                self.class_name = gr.Textbox(
                    label="Name of a class", placeholder="for example: cat", max_lines=1
                )
                self.class_files = _drop("Photos of this class", "class-files")
            with gr.Column(min_width=280):
                gr.HTML(
                    "<p class='hint'>Photos whose class you do not know yet: the page proposes "
                    "which of them to label, and classifies the others.</p>"
                )
                self.pile_files = _drop("Photos without a label", "pile-files")
        self.filter = gr.Radio([ALL], value=ALL, label="Labelled photos", elem_id="filter")
        with gr.Row():
            with gr.Column(scale=3, min_width=280):
                self.labelled = _gallery("labelled")
            self._build_panel("labelled-panel")

    def _build_suggested(self) -> None:
        gr.HTML(
            "<p class='hint'>These photos teach the most. Click one and choose its class; the next "
            "one follows.</p>"
        )
        with gr.Row():
            self._build_panel("suggested-panel")
            with gr.Column(scale=3, min_width=280):
                self.suggested = _gallery("suggested")

    def _build_results(self) -> None:
        gr.HTML(
            "<p class='hint'>Every photo without a label. Click a row to see the photo and the "
            "labelled ones that are most like it. The known score is a cosine: a low one means "
            "that the photo is like no class.</p>"
        )
        with gr.Row():
            with gr.Column(scale=3, min_width=280):
                self.table = gr.Dataframe(
                    headers=views.HEADERS,
                    datatype=["number", "html", "str", "str", "number", "number"],
                    interactive=False,
                    show_label=False,
                    elem_id="results",
                    max_height=560,
                    column_widths=["8%", "16%", "28%", "20%", "14%", "14%"],
                    buttons=[],
                )
            self._build_panel("results-panel")

    def _build_panel(self, name: str) -> None:
        key, keys = gr.State(""), gr.State([])
        with gr.Column(scale=2, min_width=280, visible=False, elem_id=name) as box:
            picture = gr.Image(
                show_label=False, interactive=False, buttons=[], height=260, container=False
            )
            text = gr.HTML()
            choice = gr.Radio([], label="Its class", elem_classes="choice")
            new_class = gr.Textbox(
                label="or a new class", placeholder="name it and press Enter", max_lines=1
            )
            with gr.Row():
                unlabel = gr.Button("Take the label away", size="sm", visible=False)
                remove = gr.Button("Remove the photo", size="sm")
            neighbours = _gallery(f"{name}-neighbours", "The labelled photos most like it")
        self.panels.append(
            Panel(
                key, keys, box, picture, text, choice, new_class, unlabel, remove, neighbours
            )
        )

    def _connect(self) -> None:
        """Say what happens when a component is used."""
        of_labelled, of_suggested, of_results = self.panels
        outputs = self._outputs()
        self.blocks.load(self._begin, None, outputs, api_visibility="private")
        _on(self.class_files.upload, self._add, [self.class_files, self.class_name], outputs)
        _on(self.pile_files.upload, self._add, [self.pile_files], outputs)
        _on(self.filter.input, self._filter, [self.filter], [self.labelled, of_labelled.keys])
        galleries = ((of_labelled, self.labelled), (of_suggested, self.suggested))
        for panel, gallery in galleries:
            _on(gallery.select, self._clicked(panel), [panel.keys], self._panel_outputs(panel))
        _on(
            self.table.select,
            self._row_clicked(of_results),
            [of_results.keys],
            self._panel_outputs(of_results),
        )
        for panel in self.panels:
            _on(panel.choice.input, self._label(panel), [panel.key, panel.choice], outputs)
            _on(panel.new_class.submit, self._label(panel), [panel.key, panel.new_class], outputs)
            _on(panel.unlabel.click, self._changed(panel, "unlabel"), [panel.key], outputs)
            _on(panel.remove.click, self._changed(panel, "remove"), [panel.key], outputs)

    def _outputs(self) -> list[Any]:
        """Return all components that change when photos or labels change."""
        own = [
            self.status,
            self.class_files,
            self.pile_files,
            self.filter,
            self.labelled,
            self.suggested,
            self.table,
        ]
        return own + [one for panel in self.panels for one in self._panel_outputs(panel)]

    @staticmethod
    def _panel_outputs(panel: Panel) -> list[Any]:
        return [
            panel.key,
            panel.keys,
            panel.box,
            panel.picture,
            panel.text,
            panel.choice,
            panel.new_class,
            panel.unlabel,
            panel.neighbours,
        ]
