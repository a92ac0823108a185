"""The example runs as it is, and shows what it says."""

from __future__ import annotations

import asyncio
import runpy
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "tool_check.py"


def test_the_example_runs(capsys):
    """Each scene ends as its title says; nothing is paid that was refused."""
    asyncio.run(runpy.run_path(str(EXAMPLE))["main"]())
    scenes = capsys.readouterr().out.strip().split("\n\n")
    form, total, vote, payment = (scene.splitlines() for scene in scenes)
    assert form[-2:] == [
        '  returned  {"item": "chair", "count": 3}',
        "  ran       models: 3, tools: 3",
    ]
    said = [line.split()[0] for line in total if line.startswith("  ") and line[2] != " "]
    assert said == ["drawn", "fail", *["changed"] * 3, "pass", "returned", "ran"]
    assert "            The answer is 210 EUR." in total
    assert [line for line in vote if "drawn" in line] == [
        "  drawn     (rejected)",
        "  drawn     (rejected)",
        '  drawn     {"item": "chair", "count": 3}',
        "  drawn     (rejected)",
    ]
    outcomes = [line.split()[0] for line in payment[1:]]
    assert outcomes == ["proposed", "allowed", *["proposed", "refused"] * 2, "proposed", "allowed"]
    assert [line for line in payment if "paid" in line] == [
        "  allowed   paid 120 EUR to Beech Ltd",
        (
            "  allowed   paid 200 EUR to Oak & Sons, after a repair: "
            "{'to': 'Oak & Sons', 'euros': 200}"
        ),
    ]
