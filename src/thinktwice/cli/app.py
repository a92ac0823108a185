"""The commands, and how they fail."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final, TextIO

import typer

from thinktwice.cli.encoding import HANDLER
from thinktwice.cli.moments import moment
from thinktwice.errors import UsageError
from thinktwice.store.costs import By, read_costs
from thinktwice.store.place import default_path
from thinktwice.telemetry.providers import VERSION

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="What thinktwice spent on this machine: see thinktwice.observe.",
)

_OUTPUT: Final = "-"
Store = Annotated[
    Path | None,
    typer.Option(help="The file; by default THINKTWICE_STORE, or the one of this user."),
]
Json = Annotated[bool, typer.Option("--json", help="For machines: costs in USD.")]


def _tell_version(asked: bool) -> None:  # noqa: FBT001 - as typer calls it
    if asked:
        typer.echo(f"thinktwice {VERSION}")
        raise typer.Exit


@app.callback()
def _group(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="Say which it is."),
    ] = False,
) -> None:
    """One command is a command, too."""
    del version


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
    html: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write a page with plots to it, or - to print it."),
    ] = None,
    as_json: Json = False,
    store: Store = None,
) -> None:
    """Add up what requests cost: by strategy, model, role and day."""
    from thinktwice.cli import printing, tables, writing

    if as_json and html == _OUTPUT:
        raise UsageError("html", "-", "--json is printed, too: name a file for the page")
    path = store or default_path()
    file = None if html is None or html == _OUTPUT else writing.page_path(html, store=path)
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

        text = page(found, read_pictures(path, since=start))
        if file is None:
            typer.echo(text.encode(), nl=False)  # it says itself that it is UTF-8
        else:
            writing.write_page(file, text)
    if as_json:
        typer.echo(printing.as_json(found))
    elif html is None:
        tables.show(found)


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
    stop: Annotated[
        list[str],
        typer.Option(help="A rule, such as 'Lead(3)'; can be given several times, to compare."),
    ],
    n: Annotated[
        int | None, typer.Option(help="Samples at the most; by default as many as were drawn.")
    ] = None,
    prefer: Annotated[
        str, typer.Option(help="How to launch: cost, balanced, latency, or a number in [0, 1].")
    ] = "cost",
    since: Annotated[str | None, typer.Option(help="As for costs.")] = None,
    *,
    strategy: Annotated[str | None, typer.Option(help="Of this one alone, such as Vote.")] = None,
    max_concurrency: Annotated[int, typer.Option(help="Samples in flight at the most.")] = 8,
    as_json: Json = False,
    store: Store = None,
) -> None:
    """Replay requests that were drawn in full under other stop rules."""
    from thinktwice.cli import printing, replays
    from thinktwice.policy.whatif import whatif as replay
    from thinktwice.stop import parse_stop
    from thinktwice.store.ballots import read_ballots

    rules = [parse_stop(each) for each in stop]
    start = None if since is None else moment(since)
    ballots = read_ballots(store or default_path(), since=start, strategy=strategy)
    mode = replays.preference(prefer)
    found = [
        replay(ballots, rule, n=n, prefer=mode, max_concurrency=max_concurrency) for rule in rules
    ]
    if as_json:
        typer.echo(f"[{','.join(map(printing.as_json, found))}]")
    else:
        replays.show(found)


@app.command()
def prices(
    models: Annotated[
        list[str] | None,
        typer.Argument(help="As gpt-5 or openai/gpt-5; by default all that the file has."),
    ] = None,
    file: Annotated[Path | None, typer.Option(help="Your own prices, in TOML.")] = None,
    tier: Annotated[
        str | None, typer.Option(help="A service tier, of the file or of the list: batch, say.")
    ] = None,
    phoenix: Annotated[
        str | None, typer.Option(metavar="URL", help="Have Phoenix count with these prices.")
    ] = None,
    *,
    update: Annotated[
        bool, typer.Option("--update", help="Fetch the list of today and save it: one request.")
    ] = False,
    source: Annotated[
        str | None, typer.Option("--from", metavar="URL", help="Where to fetch it, for --update.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what models cost, and where the price comes from; 1 if one has no price."""
    from thinktwice.cli import printing, quotes

    found = quotes.look_up(
        models or [], file, tier=tier, phoenix=phoenix, update=update, source=source
    )
    if as_json:
        typer.echo(printing.as_json(found))
    else:
        quotes.show(found)
    if any(each.rates is None for each in found.models):
        raise typer.Exit(1)


@app.command()
def quotas(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Of a SqliteStore.")],
    *,
    as_json: Json = False,
) -> None:
    """Say how much of which quota is used, of those that are counted in a file."""
    from thinktwice.cli import printing, uses
    from thinktwice.quota.report import read_uses

    found = read_uses(file)
    if as_json:
        typer.echo(f"[{','.join(map(printing.as_json, found))}]")
    else:
        uses.show(found)


def _nowhere() -> TextIO:
    """The output of a process that was started without one: it takes nothing."""
    return os.fdopen(os.open(os.devnull, os.O_RDONLY), "w")


def run() -> None:
    """Run a command; a mistake is one line, and a closed pipe is none."""
    if (reconfigure := getattr(sys.stdout, "reconfigure", None)) is not None:
        reconfigure(errors=HANDLER)  # bars and lines are not in every encoding
    if sys.stdout is None:
        sys.stdout = _nowhere()
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # while a failure can still be told
    except UsageError as error:
        typer.echo(f"thinktwice: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        # What Python would still flush at exit has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            with suppress(OSError):
                typer.echo(f"thinktwice: it cannot be printed ({error.strerror})", err=True)
        sys.exit(1)
