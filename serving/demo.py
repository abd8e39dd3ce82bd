"""The demo: a shop from order lines to a decision over HTTP, shown as a manager would read it."""

import getpass
import json
import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pandas as pd
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from features import lake
from features.calendar import BusinessCalendar
from features.door.ingest import ingest
from features.door.mapping import nearest
from features.door.mapping_file import load_mapping, mapping_path
from features.errors import BadInput
from features.home import Home
from features.shop import open_shop
from features.simulate import simulate
from serving.cli.output import now
from serving.nightly import nightly, shop_day
from serving.policy.reading import DEFAULT, load_policy
from serving.publication import current
from serving.service import serve_command
from serving.words import BANDS, GUARDS, INCENTIVES, LIFECYCLES, SCENARIOS, say
from training.release import champion, open_release
from training.report import NAMES
from training.train import train

SHOPS = ("complete_journey", "hananone")  # a real one from a package, a simulated one with every table
SIMULATED_CUSTOMERS, SIMULATED_SEED = 6_000, 1
START_SECONDS = 60
SHOWN_FIGURES = (
    ("churn", "auc", "AUC", "churn within {horizon} days"),
    ("next-purchase", "mae_days", "days of error", "days to the next order"),
    ("value", "spearman", "rank correlation", "value of 90 days"),
    ("recommender", "ndcg_at_10", "NDCG@10", "products of the next 30 days"),
)

Echo = Callable[[str], None]


def run(shop: str, echo: Echo) -> None:
    """Run the whole chain for one of :data:`SHOPS` in the home, show what it found, and stop the server again.

    Raises
    ------
    BadInput
        If there is no such demo, or the home belongs to another shop.
    """
    home = Home.open()
    _expect_free(home, shop)
    with _progress() as progress:
        trained = _build(home, shop, progress)
        step = progress.add_task("asking the service over HTTP", total=1)
        publication = current(home)
        assert publication is not None
        scores = publication.table("customer_scores")
        late = scores[scores.lifecycle.isin(["at_risk", "dormant"]) & scores.at_risk_365d.notna()]
        worth = late.nlargest(10, "at_risk_365d")
        decided = _one_with_a_failed_guard(scores)
        with _server(home) as address:
            reply = _post(f"{address}/v1/score", {"customer_ids": [decided], "explain": "full", "lang": "en"})
        progress.advance(step)
    mapping = load_mapping(Path(shop))
    if mapping.notice:
        echo(f"\n{mapping.notice}\n")
    echo(_ten(worth, mapping.currency))
    echo(_decision(reply["results"][0], reply["currency"]))
    horizon = open_release(champion(home)).facts["horizon_days"]
    echo(_beside_baselines(trained["report"], trained["skipped"], str(horizon)))
    echo(_next(home, publication.day, mapping.calendar))


def _expect_free(home: Home, shop: str) -> None:
    if shop not in SHOPS:
        raise BadInput(f"--shop {shop}: no such demo{nearest(shop, list(SHOPS))}")
    owner = home.facts().get("default_shop", shop)
    if owner != shop:
        raise BadInput(f"{home.root} belongs to {owner}; run the demo of {shop} with OKAERI_HOME set to a new folder")


def _files(home: Home, shop: str) -> list[Path]:
    """Give the folder of the simulated shop's export, written at first need; a real shop's files lie in its package."""
    if shop != "hananone":
        return []
    folder = home.root / "simulated"
    if not folder.exists():
        until = load_mapping(Path(shop)).clock
        assert isinstance(until, date)
        with lake.staging(folder) as staged:
            simulate(staged / "export", SIMULATED_CUSTOMERS, SIMULATED_SEED, until=until)
            staged.rename(folder)
    return sorted((folder / "export").glob("*.parquet"))


def _progress() -> Progress:
    from rich.console import Console

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True))


def _build(home: Home, name: str, progress: Progress) -> dict[str, Any]:
    """Ingest, train and publish, with a bar for each."""
    path = mapping_path(Path(name))
    step = progress.add_task("taking in the order lines", total=1)
    ingest(home, load_mapping(path), path.read_bytes(), _files(home, name), now(), only_new=True)
    progress.advance(step)
    shop = open_shop(home, load_mapping(path).shop)
    step = progress.add_task("learning", total=3)

    def say(text: str) -> None:
        progress.update(step, description=f"learning: {text}")
        progress.advance(step)

    trained = train(home, shop, shop_day(shop, now()), getpass.getuser(), now().isoformat(), say)
    progress.update(step, completed=3, description="learning")
    step = progress.add_task("the night", total=4)

    def tell(text: str) -> None:
        progress.update(step, description=f"the night: {text}")
        progress.advance(step)

    nightly(home, None, now(), (load_policy(), DEFAULT.read_bytes()), replace=True, say=tell)
    progress.update(step, completed=4, description="the night")
    return trained


def _one_with_a_failed_guard(scores: pd.DataFrame) -> str:
    """Choose the customer most worth winning back for whom a guard says no."""
    late = scores[scores.lifecycle.isin(["at_risk", "dormant"]) & (scores.guards_failed != "")]
    chosen = late if len(late) else scores[scores.guards_failed != ""]
    return str(chosen.sort_values("at_risk_365d", ascending=False, na_position="last").customer_id.iloc[0])


@contextmanager
def _server(home: Home) -> Iterator[str]:
    """Run `okaeri serve` on a free loopback port until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = serve_command("127.0.0.1", port)
    environment = os.environ | {"OKAERI_PORT": str(port), "BENTOML_HOME": str(home.root / "bentoml")}
    log = (home.root / "demo-server.log").open("wb")
    with log, subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process:
        try:
            _wait(f"http://127.0.0.1:{port}/readyz", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=START_SECONDS)


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    from threading import Event

    for _ in range(START_SECONDS * 5):
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}; see demo-server.log in the home")
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except (URLError, ConnectionError, TimeoutError):
            pass
        Event().wait(0.2)
    raise RuntimeError(f"the server was not ready within {START_SECONDS} s")


def _post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return dict(json.loads(answer.read()))


def _ten(worth: pd.DataFrame, currency: str) -> str:
    """Show the ten customers whose leaving would cost most, and why."""
    lines = ["The ten customers most worth winning back", ""]
    lines.append(
        f"  {'customer':>8}  {'P(leave)':>8}  {'band':<8}  {'silent':>10}  {'usual gap':>9}  {'at risk':>12}  why"
    )
    for row in worth.itertuples():
        lines.append(
            f"  {row.customer_id:>8}  {row.churn_probability:>8.0%}  {say(BANDS[str(row.churn_band)], 'en'):<8}"
            f"  {row.days_since_last_order:>5.0f} days  {row.usual_gap_days:>4.0f} days"
            f"  {row.at_risk_365d:>8,.0f} {currency}  {str(row.reason_texts).split(' / ')[0]}"
        )
    return "\n".join(lines) + "\n"


def _decision(result: dict[str, Any], currency: str) -> str:
    """Tell one decision in plain words: who, how late, the candidates with doing nothing, the guard that failed."""
    churn, order = result["churn"], result["next_order"]
    lines = ["One decision, as the service gave it over HTTP (POST /v1/score, explain: full)", ""]
    stage = say(LIFECYCLES[result["lifecycle"]], "en").lower()
    who = f"Customer {result['customer_id']} ({stage}, {result['order_count']} orders)"
    late = f" has been silent {churn['silence_ratio']:.1f} times their usual gap" if churn else ""
    lines.append(f"  {who}{late}.")
    if churn:
        lines.append(
            f"  Chance of no order in {churn['horizon_days']} days: {churn['probability']:.0%}."
            f" Expected next order: {order['expected_on'] or 'beyond a year'}."
        )
    lines += [f"  - {reason['text']}" for reason in result["reasons"]]
    lines.append(f"  What could be done, and what it would net within {result['candidates'][0]['window_days']} days:")
    for candidate in sorted(result["candidates"], key=lambda c: -c["net_value"]):
        name = say(SCENARIOS[candidate["scenario"]], "en")
        offer = "" if candidate["scenario"] == "none" else f", {say(INCENTIVES[candidate['incentive']], 'en').lower()}"
        lines.append(
            f"    {name + offer:<28} order {candidate['p_order_without']:.0%} -> {candidate['p_order_with']:.0%}"
            f"   net {candidate['net_value']:+.2f} {currency}  [{candidate['low']:+.2f}, {candidate['high']:+.2f}]"
            f"  ({candidate['evidence']})"
        )
    failed = [guard for guard in result["guards"] if guard["state"] == "fail"]
    lines += [f"  Not sent: {guard['code']} - {say(GUARDS[guard['code']], 'en')}." for guard in failed]
    return "\n".join(lines) + "\n"


def _beside_baselines(report: list[dict[str, Any]], skipped: list[str], horizon: str) -> str:
    """Show each model beside its baselines on held-back customers, with 95 % intervals."""
    lines = ["Each model beside its baselines, on later customers that no fit has seen (95 % interval)", ""]
    for question, metric, unit, words in SHOWN_FIGURES:
        rows = [row for row in report if (row["question"], row["metric"]) == (question, metric)]
        for before, row in zip([None, *rows], rows, strict=False):
            name = NAMES[row["method"]]
            begins = before is None or before["slice"] != row["slice"]
            label = words.format(horizon=horizon) if row["slice"] == "all" else f"  of these, {row['slice']}"
            figure = f"{row['value']:.3f}  [{row['low']:.3f}, {row['high']:.3f}]"
            lines.append(f"  {label if begins else '':<30} {name:<22} {figure}  {unit}")
    return "\n".join([*lines, *(f"  not judged: {why}" for why in skipped)]) + "\n"


def _next(home: Home, day: int, calendar: BusinessCalendar) -> str:
    database = os.path.relpath(home.mlruns / "mlflow.db")
    lines = [
        "Try next",
        "",
        "  .venv/bin/okaeri serve                       then open http://127.0.0.1:3000/docs",
        f"  .venv/bin/mlflow ui --backend-store-uri sqlite:///{database} --host 127.0.0.1",
        f"  .venv/bin/okaeri nightly --as-of {calendar.date(day + 1)}  the next night",
    ]
    return "\n".join(lines)
