"""A browser opens the page of a trace, and finds the spans there.

With THINKTWICE_PICTURES=1 the pictures of the documentation are taken anew.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.browser import chromium
from thinktwice import BestOfN, solve
from thinktwice.testing import ScriptedSampler

pytestmark = pytest.mark.timeout(300)
IMAGES = Path(__file__).parents[2] / "docs" / "images"
MOST = 300_000  # bytes
SIZE = "1700,900"  # MLflow shows the cost over the tokens where there is less room


@pytest.fixture
def browser(tmp_path):
    """Opens a page; gives what the browser prints."""
    return chromium(tmp_path / "profile", patience=20_000)


def right(text):
    """Whether it is."""
    return text == "391"


async def test_the_page_of_a_trace(project, price_file, browser, tmp_path):
    """All spans of a request are on it."""
    ask = ScriptedSampler(
        ["391", "392", "391"], model="acme-1", input_tokens=60_000, output_tokens=5000
    )
    strategy = BestOfN(3, verifier=right)
    project.name = "my-application"  # it is in the picture
    with project.sent():
        project.results.append(
            await solve("17 * 23", sampler=ask, strategy=strategy, prices=price_file)
        )
    project.agrees()
    url = project.backend.page(project.name)
    page = browser(url, "--dump-dom")
    for name in ("invoke_workflow BestOfN", "thinktwice.sample", "chat acme-1"):
        assert name in page
    assert "thinktwice.verify right" in page
    picture = tmp_path / "page.png"
    browser(url, f"--screenshot={picture}", size=SIZE)
    assert 20_000 < picture.stat().st_size < MOST
    if os.environ.get("THINKTWICE_PICTURES"):
        shutil.copy(picture, IMAGES / f"{project.backend.name}.png")
