"""`scaling predict`: the metric at a budget; registered before the run, scored after it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from analysis.questions import PredictQuestion
from scaling.cli.options import AsCsv, AsJson
from scaling.cli.output import console, messages, print_json, print_text
from scaling.cli.runs_input import RunsFrom, print_answer, print_found, reads_runs
from scaling.errors import UnknownName, UsageError
from scaling.rounding import amount, percent, significant

if TYPE_CHECKING:
    from pandas import DataFrame
    from rich.console import Console

    from analysis import Prediction, Scores

__all__ = ["EXAMPLES", "predict_command"]

EXAMPLES = """
scaling predict --at 110000  # val_loss at so many core-hours, by the laws that did best in the back-test

scaling predict --at 110000 --law power --on frontier --register before-f7plus

scaling predict 3f9a  # where run 3f9a… will end, by the law and by its curve so far

scaling predict --score  # registered predictions against what was run since

scaling predict --x params,examples_seen --law chinchilla --at 1e9,2e10 --data runs.csv --json
"""


@reads_runs()
def predict_command(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run that is still training, by the start of its id: where it will end.")
    ] = None,
    *,
    question: PredictQuestion,
    share: Annotated[
        float | None, typer.Option("--share", help="With RUN: look at its curve up to this share of its steps alone, 0 … 1.")
    ] = None,
    register: Annotated[
        str | None,
        typer.Option("--register", metavar="NAME", help="Keep it in the store under this name, for good, to be scored later."),
    ] = None,
    score: Annotated[bool, typer.Option("--score", help="Compare what is registered with runs that were done since.")] = False,
    source: RunsFrom,
    json: AsJson = False,
    csv: AsCsv = False,
) -> None:
    """Predict the metric at a budget, with intervals of the mean and of one more run, and how far beyond the data that is.

    A registered prediction cannot be changed. --score says which were hit, and by
    how many standard deviations they were off.

    RUN is a run of the store that is still training. Its end is forecast by the
    law of the finished runs of its recipe, and by its held-out losses beside
    theirs at the same share of their steps (`evaluate_at` in the file). An alarm
    says when its loss leaves what such runs have.
    """
    if run is not None or share is not None:
        _running(run, share, question, source, register=register, score=score, json=json, csv=csv)
        return
    if source.server is not None and (score or register is not None):
        raise UsageError(
            "registered predictions are kept in the store itself, which --server only reads",
            hint="run this where the store is, or give its URL: --db postgresql+psycopg://…",
        )
    if score:
        if question.at or register is not None or source.data is not None:
            raise UsageError("--score compares what is registered in the store", hint="leave out --at, --register and --data")
        _score(source, json, csv)
        return
    if question.on not in (None, "all", "frontier"):
        raise UnknownName("choice for --on", question.on, ("all", "frontier"))
    if not question.at:
        raise UsageError("predict where?", hint="--at 110000, or --score to compare what is registered with what was run since")
    if register is not None and source.data is not None:
        raise UsageError(
            "--register keeps a prediction in the store, beside the runs that will score it", hint="leave out --data, or --register"
        )
    from analysis import predict
    from analysis.reading.source import columns_in

    runs = source.load(question.metric)
    columns = None if question.x == PredictQuestion.x else tuple(columns_in(runs, question.x).split(","))
    settings = question.settings | {"x": columns[0] if columns and len(columns) == 1 else columns}
    found = predict(runs, _places(settings.pop("at"), question.law, columns), **settings)
    kept = []
    if register is not None:
        from orchestrator.registered import register as keep

        kept = keep(found, register, db=source.db, experiment=source.experiment)
    print_found(found, runs, _print, json=json, csv=csv, registered=kept)
    if register is not None:
        messages().print(
            f"registered as {register!r}; `scaling predict --score` compares it with the run once it is done",
            highlight=False,
            markup=False,
        )


def _running(
    run: str | None,
    share: float | None,
    question: PredictQuestion,
    source: RunsFrom,
    *,
    register: str | None,
    score: bool,
    json: bool,
    csv: bool,
) -> None:
    """Print where a run of the store will end."""
    if run is None:
        raise UsageError("--share is a share of the steps of a run", hint="name the run: scaling predict RUN --share 0.5")
    if question.at or score or register is not None or csv:
        raise UsageError("RUN is forecast by itself", hint="leave out --at, --score, --register and --csv")
    if not source.of_a_store:
        raise UsageError(
            "RUN is a run of the store, whose curves --data and --server do not give", hint="leave out --data and --server"
        )
    from analysis import payload
    from orchestrator.running import forecast_run

    found = forecast_run(run, db=source.db, share=share, level=question.level)
    if json:
        print_json(payload(found))
        return
    from scaling.cli.tables import headline, table

    out = console()
    headline(out, found.sentence())
    percent_of = f"{100 * found.level:g} %"
    shown = table("share of the steps", f"{found.metric} to expect by the law", f"{percent_of} low", "high")
    for then in found.band:
        shown.add_row(percent(then.share), *(significant(end) for end in (then.loss.value, then.loss.low, then.loss.high)))
    if found.band:
        out.print(shown)


def _places(at: tuple[str, ...], law: str, columns: tuple[str, ...] | None) -> list[float] | DataFrame:
    """Read the values of --at: numbers for a law of one input, a table for a surface."""
    try:
        rows = [[float(part) for part in place.replace("_", "").split(",")] for place in at]
    except ValueError:
        raise UsageError(f"--at {', '.join(at)} is not a number", hint="--at 110000, or --at 1e9,2e10 for a surface") from None
    if all(len(row) == 1 for row in rows):
        return [row[0] for row in rows]
    from pandas import DataFrame

    from analysis.laws import law_named
    from analysis.laws.axes import AXIS_COLUMNS

    names = columns or (tuple(AXIS_COLUMNS[axis] for axis in law_named(law).axes) if law != "auto" else ())
    if any(len(row) != len(names) for row in rows):
        raise UsageError(
            f"--at {at[0]} gives {len(rows[0])} numbers for {len(names) or 'unnamed'} inputs",
            hint="--x params,examples_seen --law chinchilla --at 1e9,2e10",
        )
    return DataFrame(rows, columns=list(names))


def _score(source: RunsFrom, json: bool, csv: bool) -> None:
    from orchestrator.registered import scores_of

    runs = source.load()
    scores = scores_of(runs, db=source.db, experiment=source.experiment)
    if json:
        print_answer(scores, runs)
    elif csv:
        print_text(scores.to_csv())
    else:
        _print_scores(console(), scores)


def _print(out: Console, found: Prediction) -> None:
    from analysis.reading.prices import head_of
    from scaling.cli.analysis_tables import print_lights, print_notes
    from scaling.cli.tables import line, table

    fit = found.fit
    percent = f"{100 * fit.precision.level:g} %"
    priced = [f"cost ({found.currency})"] if found.currency and "cost" not in fit.axes else []
    shown = table(
        *(head_of(name, fit.currency) for name in fit.axes),
        *priced,
        fit.metric,
        f"{percent} low",
        "high",
        "one run: low",
        "high",
        "",
    )
    shown.columns[-1].justify = "left"
    for number, row in enumerate(found.rows):
        inputs = (f"{row[name]:,g}" for name in fit.axes)
        values = (significant(row[name]) for name in ("value", "low", "high", "run_low", "run_high"))
        costs = (amount(row["cost"]) for _ in priced)
        shown.add_row(*inputs, *costs, *values, found.where(number))
    out.print(shown)
    line(out, f"{fit.law} law on {fit.on_words}: {fit.runs_words}, {fit.excluded_words}")
    print_notes(out, fit.notes)
    if fit.members is not None:
        line(out, "average by back-test: " + ", ".join(f"{weight:.2f} {name}" for name, weight in fit.members.items()))
    print_lights(out, fit.lights)
    for diagnostic in (*found.diagnostics, *fit.further_diagnostics):
        line(out, f"{diagnostic.code.value}: {diagnostic.message}. {diagnostic.advice}")
    out.print()


def _print_scores(out: Console, scores: Scores) -> None:
    from scaling.cli.tables import headline, line, table

    headline(out, scores.sentence())
    if len(scores.table):
        shown = table("name", "at", "metric", "predicted", "low", "high", "observed", "hit", "z", "off by")
        for row in scores.table.to_dict("records"):
            place = ", ".join(f"{amount(row[name], 4)} {name}" for name in row["at"])
            numbers = (significant(row[name]) for name in ("value", "low", "high", "observed"))
            shown.add_row(
                row["name"],
                place,
                row["metric"],
                *numbers,
                "yes" if row["hit"] else "no",
                f"{row['z']:+.2f}",
                percent(math.expm1(row["log_error"]), signed=True),
            )
        out.print(shown)
    for entry in scores.waiting:
        line(out, f"{entry['name']} at {', '.join(f'{value:,g} {name}' for name, value in entry['at'].items())}: {entry['reason']}")
