"""The components of the page in Gradio: tabs, galleries, and the panel that shows one photo.

Import this module only through `server`, which first turns off the reports of Gradio.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from fewshot.app import views

ALL = "all classes"


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
    nearest: gr.HTML
    neighbours: gr.Gallery


class Components:
    """All components of the page, made inside the block that is open.

    Attributes:
        panels: those beside the labelled photos, the suggested ones and the results.
    """

    def __init__(self) -> None:
        self.panels: list[Panel] = []
        self.status = gr.HTML(elem_id="status")
        with gr.Tabs():
            with gr.Tab("Add"):
                self._add_photos()
            with gr.Tab("Label"):
                self._label_next()
            with gr.Tab("Results"):
                self._results()
            with gr.Tab("Save"):
                self.downloads = gr.HTML()

    def _add_photos(self) -> None:
        with gr.Row():
            with gr.Column(min_width=280):
                self.class_name = gr.Textbox(
                    label="Name of a class", placeholder="for example: cat", max_lines=1
                )
                self.class_files = _drop("Photos of this class", "class-files")
            with gr.Column(min_width=280):
                gr.HTML(
                    "<p class='hint tall'>Photos whose class is not known yet: the page says which "
                    "of them to label next, and classifies the others.</p>"
                )
                self.pile_files = _drop("Photos without a label", "pile-files")
        self.filter = gr.Radio([ALL], value=ALL, label="Labelled photos", elem_id="filter")
        with gr.Row():
            with gr.Column(scale=3, min_width=280):
                self.labelled = _gallery("labelled")
            self._add_panel("labelled-panel")

    def _label_next(self) -> None:
        gr.HTML(
            "<p class='hint'>Label these photos next: they help the classifier most. When you "
            "choose the class of the first one, the next one appears; or click another.</p>"
        )
        with gr.Row():
            self._add_panel("suggested-panel")
            with gr.Column(scale=3, min_width=280):
                self.suggested = _gallery("suggested")

    def _results(self) -> None:
        gr.HTML(
            "<p class='hint'>Every photo without a label. Click a row to see the photo and the "
            "labelled ones that are most like it. % is the probability of the class; known is the "
            "similarity to the nearest class (a cosine), which is low for a photo of no class.</p>"
        )
        with gr.Row():
            with gr.Column(scale=3, min_width=280):
                self.table = gr.Dataframe(
                    headers=views.HEADERS,
                    datatype=["number", "html", "str", "number", "number", "str"],
                    interactive=False,
                    show_label=False,
                    elem_id="results",
                    max_height=560,
                    column_widths=["9%", "17%", "24%", "11%", "13%", "26%"],
                    buttons=[],
                )
            self._add_panel("results-panel")

    def _add_panel(self, name: str) -> None:
        key, keys = gr.State(""), gr.State([])
        with gr.Column(scale=2, min_width=280, visible=False, elem_id=name) as box:
            picture = gr.Image(
                show_label=False,
                interactive=False,
                buttons=[],
                height=260,
                container=False,
                elem_classes="picture",
            )
            text = gr.HTML()
            choice = gr.Radio([], label="Its class", elem_classes="choice")
            new_class = gr.Textbox(
                label="or a new class", placeholder="name it and press Enter", max_lines=1
            )
            with gr.Row():
                unlabel = gr.Button("Remove the label", size="sm", visible=False)
                remove = gr.Button("Remove the photo", size="sm")
            nearest = gr.HTML()
            neighbours = _gallery(f"{name}-neighbours")
        self.panels.append(
            Panel(
                key=key,
                keys=keys,
                box=box,
                picture=picture,
                text=text,
                choice=choice,
                new_class=new_class,
                unlabel=unlabel,
                remove=remove,
                nearest=nearest,
                neighbours=neighbours,
            )
        )

    def of_panel(self, panel: Panel) -> list[Any]:
        """Return the components that change when a panel shows another photo."""
        return [
            panel.key,
            panel.keys,
            panel.box,
            panel.picture,
            panel.text,
            panel.choice,
            panel.new_class,
            panel.unlabel,
            panel.nearest,
            panel.neighbours,
        ]

    def all(self) -> list[Any]:
        """Return all components that change when photos or labels change."""
        own = [
            self.status,
            self.downloads,
            self.class_files,
            self.pile_files,
            self.filter,
            self.labelled,
            self.suggested,
            self.table,
        ]
        return own + [one for panel in self.panels for one in self.of_panel(panel)]


def _drop(label: str, name: str) -> gr.File:
    return gr.File(
        label=label,
        file_count="multiple",
        file_types=["image"],
        height=150,
        elem_id=name,
    )


def _gallery(name: str) -> gr.Gallery:
    return gr.Gallery(
        show_label=False,
        interactive=False,
        allow_preview=False,
        columns=4,
        height="auto",
        object_fit="cover",
        buttons=[],
        elem_id=name,
        elem_classes="photos",
    )
