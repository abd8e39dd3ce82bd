"""The command line: `okaeri COMMAND`. Results go to stdout, progress to stderr; heavy imports stay in commands."""

import os
import sys

# Before numpy anywhere: two thread pools on one machine made runs 10-100 times slower.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_name, "1" if _name.startswith("OPENBLAS") else "2")

import typer  # noqa: E402  after the environment above

from serving.cli import data, models, night, policy, releases  # noqa: E402
from serving.cli.audience import audience  # noqa: E402
from serving.cli.demo import demo  # noqa: E402
from serving.cli.forget import forget  # noqa: E402
from serving.cli.report import report  # noqa: E402
from serving.cli.simulate import simulate  # noqa: E402

app = typer.Typer(
    name="okaeri",
    help="Which customers are slipping away, when each will buy again, and what is worth offering them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # importing rich for the help would double its cost
    pretty_exceptions_enable=False,
)
app.command("demo")(demo)
app.command("ingest")(data.ingest)
app.add_typer(data.features, name="features")
app.command("train")(models.train)
app.command("tune")(models.tune)
app.command("backtest")(models.backtest)
app.add_typer(releases.release, name="release")
app.add_typer(policy.policy, name="policy")
app.command("nightly")(night.nightly)
app.add_typer(audience, name="audience")
app.command("serve")(night.serve)
app.command("report")(report)
app.command("forget")(forget)
app.command("simulate")(simulate)
app.command("status")(night.status)


def main() -> None:
    """Run a command; a refusal is one clear message and its exit code."""
    from features.errors import OkaeriError

    try:
        app()
    except OkaeriError as error:
        print(f"okaeri: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
