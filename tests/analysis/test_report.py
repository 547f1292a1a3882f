"""The report: one file, all numbers in tables, nothing loaded from anywhere."""

from __future__ import annotations

import base64
import json
import re
import shlex
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import analysis
from analysis.headline import headline
from analysis.report.document import report_html
from analysis.report.study import Refusal, study_of
from scaling.cli.app import app
from scaling.errors import TooFewPoints, UnknownName, UsageError
from scaling.refusals import PAGE, SECTIONS, why
from scaling.rounding import significant

NFNET = Path(__file__).parent.parent / "reference" / "laws" / "nfnet_fig1_clean21.csv"
TABLE = [
    "--data",
    str(NFNET),
    "--map",
    "core_hours=tpu_v4_core_hours",
    "--map",
    "error=imagenet_top1_error_pct",
    "--metric",
    "error",
]


@pytest.fixture(scope="module")
def nfnet_study():
    runs = analysis.read_runs(NFNET, {"core_hours": "tpu_v4_core_hours", "error": "imagenet_top1_error_pct"})
    return study_of(runs, metric="error", title="NFNets <fine-tuned>", bootstrap=200)


@pytest.fixture(scope="module")
def page(nfnet_study):
    """The document without the scripts at its end."""
    text = report_html(nfnet_study)
    assert text.count("<script>") == 2
    return text[: text.index("<script>")]


def test_the_answer_comes_first(nfnet_study, page):
    summary = page.partition('aria-label="In short"')[2].partition("</section>")[0]
    answer = re.search(r'<div id="answer">(.*?)</div>', summary)[1]
    assert re.sub("<.*?>", "", unescape(answer)) == headline(nfnet_study.law.answer, nfnet_study.regret).replace("^", "")
    assert summary.count("Best so far") == 1


def cells_of(page, table):
    """The text of every cell of a table, row by row, without the head."""
    body = page.partition(f'id="{table}"')[2].partition("<tbody>")[2].partition("</tbody>")[0]
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", body, re.S)
    return [
        [unescape(re.sub("<[^>]+>", "", cell)).strip() for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.S)]
        for row in rows
    ]


def test_the_law_with_its_intervals_is_a_table(page, nfnet_study):
    law = nfnet_study.law
    rows = [row for row in cells_of(page, "coefficients") if len(row) == 3]
    for row, (name, value) in zip(rows, law.params.items(), strict=True):
        ends = law.interval().loc[name]
        assert row == [name, significant(value, 4), f"{significant(ends['low'], 3)} … {significant(ends['high'], 3)}"]


def test_predictions_are_those_of_the_forecast(page, nfnet_study):
    law = nfnet_study.law.forecast
    rows = cells_of(page, "predictions")
    assert [row[1] for row in rows] == ["–", "2×", "5×", "10×"]
    at_ten = law.predict([10 * law.x_range[1]], kind="new-run").iloc[0]
    assert rows[-1][2] == significant(at_ten["mean"], 4)
    assert rows[-1][5:] == [significant(at_ten["low"], 4), significant(at_ten["high"], 4)]


def test_every_run_is_there_used_or_left_out(page, nfnet_study):
    used = [row[0] for row in cells_of(page, "used")]
    assert used == list(nfnet_study.law.run_ids)
    assert len(used) + len(nfnet_study.law.excluded) == 21
    assert '<span class="n">6</span> not on the frontier' in page


def test_a_residual_is_a_share_and_not_a_logarithm(simulate):
    runs = simulate(lambda x: 3 * x**-0.2, noise=0.01)
    runs.loc[3, "val_loss"] *= 2.3
    study = study_of(runs, law="power", bootstrap=100)
    text = report_html(study)
    off = study.law.residuals.set_index("id").loc["run3"]
    share = 100 * (off["val_loss"] / off["predicted"] - 1)
    (row,) = [row for row in cells_of(text, "used") if row[0] == "run3"]
    assert row[-1] == f"{share:+.2f} %"
    assert share > 100 * off["residual"] + 10


def test_text_of_users_is_text(page):
    assert "NFNets &lt;fine-tuned&gt;" in page
    assert "<fine-tuned>" not in page


def test_nothing_is_loaded(page):
    assert not re.findall(r"""(?:src|href|action)=["'](?!#)""", page)
    assert "default-src 'none'" in page
    assert not re.findall(r"\son\w+=", page)


def test_figures_are_the_numbers(page, nfnet_study):
    figures = [json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', page, re.S)]
    assert len(figures) == page.count('<figure class="chart"') >= 3
    optimal = next(trace for trace in figures[0]["data"] if trace.get("name") == "compute-optimal")
    best = nfnet_study.frontier.on_frontier
    for axis, column in (("x", "core_hours"), ("y", "error")):
        packed = optimal[axis]
        shown = np.frombuffer(base64.b64decode(packed["bdata"]), packed["dtype"]) if isinstance(packed, dict) else packed
        assert list(shown) == list(best[column])


def test_what_these_runs_do_not_allow_says_why(simulate):
    few = study_of(simulate(lambda x: x**-0.2, cells=2), bootstrap=100)
    assert isinstance(few.law, Refusal)
    text = report_html(few)
    assert "1 more is needed" in text[: text.index("<script>")]
    with pytest.raises(TooFewPoints):
        study_of(simulate(lambda x: x**-0.2).assign(status="failed"))
    with pytest.raises(UnknownName):
        study_of(simulate(lambda x: x**-0.2), law="powr")


def test_each_refusal_names_the_section_that_the_command_names(simulate):
    """Two families that share no range of compute and have one size each: nothing can be compared, and there is no best size."""
    runs = simulate(lambda x: x**-0.2, cells=2)
    apart = simulate(lambda x: 1.1 * x**-0.2, cells=2, low=1e8, high=1e9)
    study = study_of(pd.concat([runs, apart.assign(family="vit", id="v" + apart["id"])]), on="all", bootstrap=100)
    parts = [study.law, study.automatic, *study.optima.values(), *study.comparisons, study.plan]
    refused = [part for part in parts if isinstance(part, Refusal)]
    assert len(refused) >= 3
    text = report_html(study)
    shown = re.findall(rf"Why: <code>{PAGE}#([\w-]+)</code>", text[: text.index("<script>")])
    assert len(shown) >= len(refused)
    assert set(shown) == {part.why.partition("#")[2] for part in refused} <= set(SECTIONS)
    with pytest.raises(TooFewPoints) as caught:
        analysis.compute_optimal(runs)
    assert study.optima["nfnet"].why == why(caught.value)


def test_the_command_writes_it_and_says_how_to_write_it_again(tmp_path):
    path = tmp_path / "report.html"
    result = CliRunner().invoke(app, ["report", "-o", str(path), *TABLE, "--title", "A study"])
    assert result.exception is None, result.output
    text = path.read_text()
    (again,) = {
        line
        for line in (unescape(re.sub("<[^>]+>", "", code)) for code in re.findall("<code[^>]*>(.*?)</code>", text))
        if "report" in line
    }
    assert shlex.split(again)[4:] == ["--metric", "error", "--x", "core_hours", "--on", "frontier", *TABLE[:-2]]
    assert "sha256" in text


def test_where_it_cannot_be_written(tmp_path):
    result = CliRunner().invoke(app, ["report", "-o", str(tmp_path / "no" / "report.html"), *TABLE])
    assert isinstance(result.exception, UsageError)


def test_one_row_is_one_run(tmp_path):
    (tmp_path / "one.csv").write_text("core_hours,val_loss\n1,2\n")
    result = CliRunner().invoke(app, ["report", "--data", str(tmp_path / "one.csv"), "-o", str(tmp_path / "one.html")])
    assert "one.html: 1 run;" in result.output.replace("\n", "")
