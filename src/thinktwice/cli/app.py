"""The commands, and how they fail."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from thinktwice.cli.moments import moment
from thinktwice.errors import UsageError
from thinktwice.store.costs import By, read_costs
from thinktwice.store.place import default_path

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="What thinktwice spent on this machine: see thinktwice.observe.",
)

Store = Annotated[
    Path | None,
    typer.Option(help="The file; by default THINKTWICE_STORE, or the one of this user."),
]
Json = Annotated[bool, typer.Option("--json", help="For machines: costs in USD.")]


@app.callback()
def _group() -> None:
    """One command is a command, too."""


@app.command()
def costs(
    since: Annotated[
        str | None, typer.Option(help="As 30m, 24h, 7d or 2w ago, or a date such as 2026-01-31.")
    ] = None,
    by: Annotated[
        list[By] | None, typer.Option(help="Group by this alone; can be given several times.")
    ] = None,
    dearest: Annotated[int, typer.Option(min=0, help="How many of the dearest to list.")] = 5,
    *,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots to this file.")] = None,
    as_json: Json = False,
    store: Store = None,
) -> None:
    """Add up what requests cost: by strategy, model, role and day."""
    from thinktwice.cli import printing, tables

    path = store or default_path()
    start = None if since is None else moment(since)
    found = read_costs(
        path,
        since=start,
        by=tuple(dict.fromkeys(by or By)),
        dearest=dearest,
    )
    if html is not None:
        from thinktwice.cli.page import page
        from thinktwice.store.pictures import read_pictures

        _write(html, page(found, read_pictures(path, since=start)))
    elif as_json:
        typer.echo(printing.as_json(found))
    else:
        tables.show(found)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError("html", str(path), f"it cannot be written ({error.strerror})") from None


@app.command()
def trace(
    prefix: Annotated[
        str, typer.Argument(metavar="ID", help="First digits of the id of a run or of a trace.")
    ],
    *,
    as_json: Json = False,
    store: Store = None,
) -> None:
    """Draw a request as a tree, with cost and time."""
    from thinktwice.cli import printing, trees
    from thinktwice.store.traces import read_traces

    found = read_traces(store or default_path(), prefix)
    if as_json:
        typer.echo(f"[{','.join(map(printing.as_json, found))}]")
    else:
        trees.show(found)


@app.command()
def whatif(
    stop: Annotated[str, typer.Option(help="A rule, such as 'Lead(3)' or 'Settled(risk=.02)'.")],
    n: Annotated[
        int | None, typer.Option(help="Samples at the most; by default as many as were drawn.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="As for costs.")] = None,
    *,
    as_json: Json = False,
    store: Store = None,
) -> None:
    """Replay votes that were drawn in full under another stop rule."""
    from thinktwice.cli import printing, replays
    from thinktwice.policy.whatif import whatif as replay
    from thinktwice.stop import parse_stop
    from thinktwice.store.ballots import read_ballots

    rule = parse_stop(stop)
    start = None if since is None else moment(since)
    found = replay(read_ballots(store or default_path(), since=start), rule, n=n)
    if as_json:
        typer.echo(printing.as_json(found))
    else:
        replays.show(found, rule)


@app.command()
def prices(
    models: Annotated[
        list[str] | None,
        typer.Argument(help="As gpt-5 or openai/gpt-5; by default all that the file has."),
    ] = None,
    file: Annotated[Path | None, typer.Option(help="Your own prices, in TOML.")] = None,
    tier: Annotated[str | None, typer.Option(help="A service tier of the file.")] = None,
    phoenix: Annotated[
        str | None, typer.Option(metavar="URL", help="Have Phoenix count with these prices.")
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Say what models cost, and where the price comes from."""
    from thinktwice.cli import printing, quotes
    from thinktwice.phoenix import write_prices
    from thinktwice.price_file import PriceFile
    from thinktwice.rates import price_list, quote

    if tier is not None and file is None:
        raise UsageError("tier", tier, "give the file that has it: --file")
    own = None if file is None else PriceFile(file, tier=tier)
    names = models or ([] if own is None else own.models)
    if not names:
        raise UsageError("models", [], "name some, or give a file that has some: --file")
    found = [quote(name, own) for name in names]
    written = [] if phoenix is None else write_prices(phoenix, found)
    shown = quotes.Prices(found, price_list(), written)
    if as_json:
        typer.echo(printing.as_json(shown))
    else:
        quotes.show(shown)


def run() -> None:
    """Run a command; a mistake is one line, and a closed pipe is none."""
    try:
        app()
    except UsageError as error:
        typer.echo(f"thinktwice: {error}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        # What Python would still flush at exit has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
