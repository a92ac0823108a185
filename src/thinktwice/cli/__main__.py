"""`python -m thinktwice.cli`, where the command is not on the path."""

from __future__ import annotations

from thinktwice.cli import main

main()
