"""Oracle: sockets and packets that the kernel counts, and headers that other sites would send."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.campaign import black_hole
from tests.campaign.conftest import Outcomes
from tests.fewshot.model import own_photos

SECONDS = 900


def test_the_page_answers_itself_alone(outcomes: Callable[[str], Outcomes], tmp_path: Path) -> None:
    pytest.importorskip("gradio", reason="the page needs Gradio")
    reason = black_hole.reason_to_skip()
    if reason is not None:
        pytest.skip(reason)
    photos = own_photos.write(tmp_path / "photos", {"red": 4, "green": 4})
    answer = tmp_path / "answer.json"
    with outcomes("network-page") as part:
        command = [sys.executable, "-m", "tests.campaign.page_visits", str(photos), str(answer)]
        environment = black_hole.environment(tmp_path)
        ended = subprocess.run(
            black_hole.inside(tmp_path, command),
            env=environment, capture_output=True, text=True, timeout=SECONDS,
        )  # fmt: skip
        assert answer.exists(), ended.stderr[-2000:]
        result = json.loads(answer.read_text())
        assert result["error"] is None
        assert result["own page"] == 200
        part.counts["refused request of another site"] = result["refused"]
        part.figures |= {"routes": len(result["routes"]), "packets sent": len(result["sent"])}
        for one in result["answered"]:
            part.fail(one)
        if result["sent"]:
            part.fail(f"packets left this machine for {result['sent']}")
        if result["outside references"]:
            part.fail(f"the page refers to other machines: {result['outside references']}")
        if result["listening"]:
            part.fail(f"listens beyond this machine: {result['listening']}")
        if result["from outside"]:
            part.fail("the page answers at the address of the network card")
