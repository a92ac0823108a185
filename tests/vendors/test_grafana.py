"""The dashboard for Grafana asks for metrics that there are, in a language that Prometheus knows.

Neither Grafana nor Tempo runs here: of queries to Tempo, the attributes are checked, and no more.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml

from tests.vendors.conftest import ROOT, interpreter
from thinktwice import BestOfN, Price, Vote, solve
from thinktwice.testing import ScriptedSampler, captured_spans

GRAFANA = ROOT / "examples" / "observability" / "grafana"
PANELS = json.loads((GRAFANA / "dashboard.json").read_text())["panels"]
TARGETS = [
    pytest.param(target, id=f"{panel['title']} {target['refId']}")
    for panel in PANELS
    for target in panel["targets"]
]
OF_PROMETHEUS = [each for each in TARGETS if "expr" in each.values[0]]
OF_TEMPO = [each for each in TARGETS if "query" in each.values[0]]
SECONDS = 10


# ---- the files fit together ---------------------------------------------------------------------


def loaded(name):
    """One of the settings."""
    return yaml.safe_load((GRAFANA / name).read_text())


def test_what_is_mounted_is_there():
    """Every file that a service gets, and every file is got by one."""
    services = loaded("docker-compose.yaml")["services"].values()
    mounted = {
        volume.partition(":")[0].removeprefix("./")
        for service in services
        for volume in service.get("volumes", ())
        if volume.startswith("./")
    }
    files = {path.name for path in GRAFANA.iterdir()}
    assert mounted == files - {"docker-compose.yaml"}


def test_services_call_each_other_by_name_and_port():
    """The collector calls Tempo, Prometheus the collector, Grafana both."""
    tempo = loaded("tempo.yaml")
    collector = loaded("collector.yaml")["exporters"]
    receiver = tempo["distributor"]["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"]
    assert collector["otlp"]["endpoint"] == f"tempo:{receiver.partition(':')[2]}"
    [scraped] = loaded("prometheus.yaml")["scrape_configs"][0]["static_configs"][0]["targets"]
    assert scraped == f"collector:{collector['prometheus']['endpoint'].partition(':')[2]}"
    sources = {each["uid"]: each["url"] for each in loaded("datasources.yaml")["datasources"]}
    assert sources["tempo"] == f"http://tempo:{tempo['server']['http_listen_port']}"
    assert {panel["datasource"]["uid"] for panel in PANELS} == sources.keys()
    assert set(loaded("docker-compose.yaml")["services"]) == {"grafana", "collector", *sources}


def test_panels_do_not_overlap():
    """Each place of the grid belongs to one."""
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in PANELS)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) == 23


# ---- Tempo: attributes that there are -----------------------------------------------------------


@pytest.fixture(scope="module")
def root_attributes():
    """Those of the spans of runs."""

    async def run():
        ask = ScriptedSampler(["a"], model="small", input_tokens=10, output_tokens=5)
        for strategy in (Vote(3), BestOfN(3, verifier=lambda text: 1.0)):
            await solve("q", sampler=ask, strategy=strategy, prices={"small": Price("1", "2")})

    with captured_spans() as spans:
        asyncio.run(run())
    return [dict(span.attributes) for span in spans if span.name.startswith("invoke_workflow")]


@pytest.mark.parametrize("target", OF_TEMPO)
def test_queries_of_traces_ask_for_attributes_that_there_are(target, root_attributes):
    """Of the span of a run, which is what they select."""
    asked = set(re.findall(r"span\.([a-z_.]+[a-z])", target["query"]))
    assert asked
    assert asked <= set().union(*root_attributes)


# ---- Prometheus: queries that give numbers ------------------------------------------------------


def free_port():
    """One that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    """A server that has scraped an application for some seconds: asks it a query."""
    binary = shutil.which("prometheus")
    if binary is None:
        pytest.skip("no prometheus here: `apt-get install prometheus` has one")
    folder = tmp_path_factory.mktemp("prometheus")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    command = [interpreter("prometheus"), str(Path(__file__).with_name("exporting.py"))]
    with subprocess.Popen(  # noqa: S603 - our own application
        command, env=kept, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as application:
        settings = loaded("prometheus.yaml")
        settings["global"]["scrape_interval"] = "1s"
        scraped = f"127.0.0.1:{application.stdout.readline().strip()}"
        settings["scrape_configs"][0]["static_configs"] = [{"targets": [scraped]}]
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(settings))
        address = f"127.0.0.1:{free_port()}"
        arguments = [
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
        ]
        with subprocess.Popen(  # noqa: S603 - the system's
            [binary, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as server:
            try:
                yield settled(f"http://{address}/api/v1/query")
            finally:
                server.terminate()
                application.terminate()


def settled(url):
    """What asks a server, once it has enough of a past to answer."""

    def ask(query):
        for name in ("$__rate_interval", "$__range"):
            query = query.replace(name, f"{SECONDS}s")
        with urlopen(f"{url}?{urlencode({'query': query})}") as reply:  # noqa: S310 - on loopback
            return json.load(reply)["data"]["result"]

    until = time.monotonic() + 100
    while time.monotonic() < until:
        time.sleep(0.5)
        try:
            found = ask("count_over_time(thinktwice_strategy_cost_count[1h])")
        except (URLError, ConnectionError):
            continue
        if found and float(found[0]["value"][1]) >= SECONDS / 2:
            return ask
    raise TimeoutError(url)


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("target", OF_PROMETHEUS)
def test_queries_of_metrics_give_numbers(target, prometheus):
    """Each series that is drawn has one, and its legend names labels that it has."""
    found = prometheus(target["expr"])
    assert found
    labels = set(re.findall(r"{{(\w+)}}", target.get("legendFormat", "")))
    for series in found:
        assert float(series["value"][1]) >= 0  # which NaN is not
        assert labels <= series["metric"].keys()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_numbers_are_right(prometheus):
    """Three calls of 2 thousandths of a dollar a request, a quarter lost, judges unpriced."""
    said = {panel["title"]: panel["targets"][0]["expr"] for panel in PANELS[:4]}
    value = {
        title: float(prometheus(said[title])[0]["value"][1]) for title in said if "Ag" not in title
    }
    assert value["Cost a request"] == pytest.approx(3 * 0.002, rel=0.1)
    assert value["Samples that bought nothing"] == pytest.approx(0.25, abs=0.05)
    assert value["Cost"] > 0
    assert value["Unpriced calls"] > 0
