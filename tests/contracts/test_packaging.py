"""What the distributions say and hold."""

from __future__ import annotations

import subprocess
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

ROOT = Path(__file__).parents[2]
PROJECTS = [
    path.parent
    for pattern in ("", "integrations/*/", "examples/*/")
    for path in sorted(ROOT.glob(f"{pattern}pyproject.toml"))
]
WEIGHTS = {".bin", ".gguf", ".npy", ".npz", ".onnx", ".pt", ".safetensors"}
KEEPS_WEIGHTS = {"arithmetic-lm"}


def project_table(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text())["project"]


def folder_name(folder: Path) -> str:
    return "thinktwice" if folder == ROOT else folder.name


def build_wheel(folder: Path, destination: Path) -> list[str]:
    command = [find_uv_bin(), "build", "--wheel", "--offline", "--out-dir", str(destination)]
    done = subprocess.run(  # noqa: S603 - uv, with our own folders
        [*command, str(folder)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = destination.glob("*.whl")
    return zipfile.ZipFile(wheel).namelist()


def test_versions_are_in_lockstep():
    assert len({project_table(folder)["version"] for folder in PROJECTS}) == 1


def test_our_distributions_require_each_other_at_the_same_version():
    version = project_table(ROOT)["version"]
    for folder in PROJECTS:
        for requirement in project_table(folder).get("dependencies", []):
            if "thinktwice" in requirement:
                assert requirement.endswith(f"=={version}"), requirement


def test_the_root_wheel_names_no_framework():
    requirements = project_table(ROOT)["dependencies"]
    assert not [name for name in requirements if name.startswith(("lang", "llama"))]


@pytest.mark.parametrize("folder", PROJECTS, ids=folder_name)
def test_wheel_holds_types_licence_and_no_stray_weights(folder: Path, tmp_path: Path):
    names = [Path(name) for name in build_wheel(folder, tmp_path)]
    project = project_table(folder)
    package = project["name"].replace("-", "_")
    assert Path(package, "py.typed") in names
    assert [name for name in names if name.name == "LICENSE" and ".dist-info" in name.parts[0]]
    assert {name.parts[0].split("-")[0] for name in names} == {package}
    has_weights = any(name.suffix in WEIGHTS for name in names)
    assert has_weights == (project["name"] in KEEPS_WEIGHTS)


@pytest.mark.parametrize("folder", PROJECTS, ids=folder_name)
def test_every_distribution_carries_the_same_licence(folder: Path):
    assert (folder / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    assert project_table(folder)["license"] == "MIT"
