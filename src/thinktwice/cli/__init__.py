"""The command `thinktwice`; needs the `cli` extra."""

from __future__ import annotations

import sys

_INSTALL = "the command `thinktwice` needs an extra: pip install 'thinktwice[cli]'"


def main() -> None:
    """Run the command, or say what to install."""
    try:
        import rich
        import typer
    except ImportError:
        sys.exit(_INSTALL)
    del rich, typer
    from thinktwice.cli.app import run

    run()
