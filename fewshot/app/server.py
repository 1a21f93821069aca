"""Serve the page on this machine alone, until it is interrupted."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import threading
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from episodes.datasets import drafts
from fewshot.app import starting
from fewshot.app.answers import table_of_answers, table_of_labels
from fewshot.app.guard import App, Guard
from fewshot.app.session import Session
from fewshot.errors import UserError

if TYPE_CHECKING:
    import uvicorn

ADDRESS = "127.0.0.1"
FIRST_PORT = 7860
N_PORTS = 20  # that are tried if the user names none
LARGEST_REQUEST = 2**30  # bytes
LARGEST_FILE = 64 * 2**20  # bytes
STYLE = Path(__file__).with_name("page.css")
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")  # of every system
MONO_FONTS = ("ui-monospace", "Menlo", "Consolas", "monospace")
CLOSING_SECONDS = 1  # for open connections, when the server is stopped


def check() -> None:
    """Raise UserError if Gradio is not installed."""
    if find_spec("gradio") is None:
        raise UserError("the page needs Gradio: run pip install 'fewshot[demo]'.")


def listen(port: int | None) -> socket.socket:
    """Return a socket that listens on this machine alone.

    Args:
        port: its port; None for the first free one from FIRST_PORT on.

    Raises:
        UserError: the port is taken, or all that are tried.
    """
    ports = range(FIRST_PORT, FIRST_PORT + N_PORTS) if port is None else [port]
    for one in ports:
        own = socket.socket()
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            own.bind((ADDRESS, one))
            own.listen(128)
            return own
        except OSError as error:
            own.close()
            reason = error.strerror
    where = f"port {port}" if port is not None else f"none of the ports from {FIRST_PORT} on"
    verb = "cannot be used" if port is not None else "can be used"
    raise UserError(f"{where} {verb} ({reason}): name a free one with --port.")


def serve(
    places: Sequence[Path], port: int | None, open_browser: bool, device: str | None = None
) -> None:
    """Show the page until Ctrl-C.

    Args:
        places: a model file and folders to begin with; may be empty.
        port: port of the server; None for a free one.
        open_browser: whether to open the page in the browser.
        device: cpu, cuda and so on; None for a GPU if there is one.

    Raises:
        UserError: Gradio is missing, no port is free, or a place cannot be used.
    """
    check()
    with (
        listen(port) as own,
        drafts.draft_folder(Path(tempfile.gettempdir()), "fewshot-page-") as folder,
    ):
        (folder / "photos").mkdir()
        session, notes = starting.start(places, folder / "photos", device)
        number = own.getsockname()[1]
        guarded = Guard(application(session, folder, notes), number, LARGEST_REQUEST)
        url = f"http://{ADDRESS}:{number}/"
        with _ended_by_signals(_uvicorn(guarded)) as server:
            print(f"{url}  (stop with Ctrl-C)", flush=True)
            if open_browser:
                threading.Thread(target=webbrowser.open, args=[url], daemon=True).start()
            server.run(sockets=[own])


def _uvicorn(app: App) -> uvicorn.Server:
    """Return a server that prints nothing and ends soon after it is asked to."""
    import uvicorn

    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=CLOSING_SECONDS,
    )
    return uvicorn.Server(config)


@contextmanager
def _ended_by_signals(server: uvicorn.Server) -> Iterator[uvicorn.Server]:
    """Let Ctrl-C and SIGTERM end a server, even one that has not started yet."""

    def end(number: int, frame: object) -> None:
        server.should_exit = True

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield server
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def application(session: Session, folder: Path, notes: list[str]) -> App:
    """Return the page of a session as an ASGI application, without the guard before it.

    Args:
        session: what the page shows.
        folder: existing folder for all files of the page.
        notes: sentences that are shown when the page opens.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(folder / "photos")
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    import gradio as gr
    from fastapi import FastAPI

    from fewshot.app.page import Page

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    _add_downloads(app, session, folder)
    page = Page(session, folder / "photos", notes)
    return gr.mount_gradio_app(
        app,
        page.blocks,
        path="/",
        server_name=ADDRESS,
        footer_links=[],
        run_history=False,
        show_error=True,
        max_file_size=LARGEST_FILE,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=gr.themes.Soft(font=FONTS, font_mono=MONO_FONTS),
        css=STYLE.read_text(encoding="utf-8"),
    )


def _add_downloads(app: Any, session: Session, folder: Path) -> None:
    """Serve the model and the tables, made when they are asked for."""
    from fastapi import Response
    from fastapi.responses import FileResponse, PlainTextResponse

    @app.get("/download/model.fewshot")
    def model() -> Response:
        path = folder / "model.fewshot"
        try:
            session.write_model(path)
        except UserError as error:
            return PlainTextResponse(str(error), 409)
        return FileResponse(path, filename=path.name)

    @app.get("/download/predictions.csv")
    def predictions() -> Response:
        with session.lock:
            return _table(table_of_answers(session.classes, session.answers()))

    @app.get("/download/labels.csv")
    def labels() -> Response:
        return _table(table_of_labels(session.labelled))

    def _table(text: str) -> Response:
        return Response(text, media_type="text/csv; charset=utf-8")
