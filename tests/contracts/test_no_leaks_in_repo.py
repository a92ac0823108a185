"""The repository holds no path of the machine it was written on and no registry's address."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GIT = shutil.which("git")

# In pieces, or this file would find itself.
FOLDERS = "|".join(("wo" + "rk", "ro" + "ot", "fa" + "rm", "ho" + "me/[a-z]+"))
PATHS = rf"(^|[^A-Za-z0-9_.}})-])/({FOLDERS})(/|$|[^A-Za-z0-9_-])"
REGISTRIES = "|".join(("py" + r"pi\.org", "pythonhos" + "ted", r"registry\.npm" + "js"))


@pytest.mark.skipif(GIT is None or not (ROOT / ".git").exists(), reason="not a git checkout")
@pytest.mark.parametrize("pattern", [PATHS, REGISTRIES], ids=["paths", "registries"])
def test_no_file_matches(pattern: str):
    done = subprocess.run(  # noqa: S603 - git, with our own patterns
        [str(GIT), "grep", "--untracked", "-nIE", pattern],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert done.stdout == ""
