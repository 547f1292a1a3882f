"""Tables of strangers that were answered wrongly, with confidence: what was said before, and what is said now.

    python -m benchmarks.strangers           # runs every case and prints the table
    python -m benchmarks.strangers --docs    # puts it into docs/strangers.md

A case is a table, the command that its user types, what that command said before, and a check of what it says now. Tables are simulated
(`benchmarks/strangers_tables.py`) or lie in tests/reference/strangers. "Now" always comes from the run; a case that is still wrong says so.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import shlex
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from typer.testing import CliRunner

from benchmarks import strangers_tables as tables
from scaling.cli.app import app
from scaling.errors import ScalingError
from scaling.rounding import significant

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "strangers.md"
FILES = ROOT / "tests" / "reference" / "strangers"
BEGIN, END = "<!-- cases, by benchmarks/strangers.py -->", "<!-- end of cases -->"

SECTIONS = {
    1: "Intervals",
    2: "What one point is",
    3: "Comparing",
    4: "One law, one forecast, two lights",
    5: "Tables as they come",
}


@dataclass(frozen=True)
class Answer:
    """What a command says. text: as printed, of a refusal its error and hint. body: of --json. refused: whether it is a refusal."""

    text: str
    body: dict[str, Any]
    refused: bool

    @property
    def fit(self) -> dict[str, Any]:
        return self.body["fits"][0]  # type: ignore[no-any-return]

    @property
    def left_out(self) -> dict[str, str]:
        return {entry["id"]: entry["reason"] for entry in self.fit["excluded"]}

    @property
    def line(self) -> str:
        """The first line, the answer in words."""
        return self.text.strip().splitlines()[0]

    @property
    def refusal(self) -> str:
        """Error and hint in one line; a table that was accepted says that."""
        return " · ".join(self.text.strip().splitlines()) if self.refused else f"not refused: {self.line[:80]}"


Said = tuple[str, bool]
"""What is said now, and whether the right value is in it."""


@dataclass(frozen=True)
class Case:
    """files: name → what makes it, or the path that is copied. commands: as typed in the folder of the files. check: their answers → verdict."""

    section: int
    name: str
    files: Mapping[str, Callable[[], pd.DataFrame | str] | Path]
    commands: tuple[str, ...]
    before: str
    check: Callable[..., Said]

    def run(self) -> Said:
        """Types the commands in a folder of their own and judges the answers."""
        with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
            for name, source in self.files.items():
                if isinstance(source, Path):
                    shutil.copy(source, name)
                    continue
                table = source()
                Path(name).write_text(table if isinstance(table, str) else table.to_csv(index=False))
            return self.check(*(_typed(command) for command in self.commands))


def _typed(command: str) -> Answer:
    program, *words = shlex.split(command)
    assert program == "scaling"
    result = CliRunner().invoke(app, words)
    if isinstance(result.exception, ScalingError):
        return Answer(f"{result.exception}\n{result.exception.hint}", {}, True)
    if result.exception is not None:
        raise result.exception
    page = Path("report.html").read_text() if "report" in words else ""
    return Answer(result.stdout + page, json.loads(result.stdout) if "--json" in words else {}, False)


def _words(name: str, interval: Mapping[str, float]) -> str:
    value, low, high = (significant(interval[end], 4) for end in ("value", "low", "high"))
    return f"{name} {value} ({low} … {high})"


def _exponent(interval: Mapping[str, float]) -> str:
    return _words("N ∝ C^", interval).replace("^ ", "^")


def _inside(interval: Mapping[str, float], truth: float) -> bool:
    return interval["low"] < truth < interval["high"]


def _coefficients(**truths: float) -> Callable[[Answer], Said]:
    """The intervals of these coefficients hold their truths."""

    def check(answer: Answer) -> Said:
        found = answer.fit["coefficients"]
        words = ", ".join(_words(name, found[name]) for name in truths)
        return f"{words}; {answer.fit['status']}", all(_inside(found[name], truth) for name, truth in truths.items())

    return check


def _same_in_other_unit(flop: Answer, exaflop: Answer) -> Said:
    one, other = (answer.fit["coefficients"]["a"] for answer in (flop, exaflop))
    same = all(abs(one[end] - other[end]) < 1e-6 for end in ("value", "low", "high"))
    return f"{_words('a', one)} in FLOP, {_words('a', other)} in EFLOP", same and _inside(one, 0.3)


def _forecast(truth: float) -> Callable[[Answer], Said]:
    def check(answer: Answer) -> Said:
        mean = answer.body["predictions"][0]["mean"]
        return _words(answer.body["metric"], mean), _inside(mean, truth)

    return check


def _size_exponent(truth: float, approach: str = "", *, disagree: bool = False) -> Callable[[Answer], Said]:
    """The headline's exponent, or that of one approach, holds the truth, in an interval that says something; disagree: and no approach is ok."""

    def check(answer: Answer) -> Said:
        name = approach or answer.body["recommended"]
        if name is None:
            return answer.body["sentence"], False
        (path,) = (path for path in answer.body["approaches"] if path["approach"] == name)
        exponent = path["size_exponent"]
        if exponent is None:
            return f"{name}: {path['status']}: {path['reason']}", False
        said = f"{_exponent(exponent)} ({name}), {path['status']}"
        narrow = exponent["high"] - exponent["low"] < 0.5
        return said, narrow and _inside(exponent, truth) and ((path["status"] == "approaches-disagree") == disagree)

    return check


def _any_order(*answers: Answer) -> Said:
    exponents = [
        next(path["size_exponent"] for path in answer.body["approaches"] if path["approach"] == "surface") for answer in answers
    ]
    same = all(abs(exponents[0][end] / exponents[1][end] - 1) < 1e-6 for end in ("value", "low", "high"))
    return f"{_exponent(exponents[0])} and {_exponent(exponents[1])}", same


def _points(count: int, of: str) -> Callable[[Answer], Said]:
    def check(answer: Answer) -> Said:
        fit = answer.fit
        found = fit["clusters_used"] if of == "runs" else fit["cells_used"]
        said = f"{fit['runs_used']} rows, {found} {of}; " + ", ".join(
            _words(*pair) for pair in list(fit["coefficients"].items())[-1:]
        )
        return said, found == count

    return check


def _averaged_with_note(count: int, word: str) -> Callable[[Answer], Said]:
    def check(answer: Answer) -> Said:
        said = f"{answer.fit['runs_used']} rows, {answer.fit['cells_used']} cells; note: {'; '.join(answer.fit['notes']) or 'none'}"
        return said, answer.fit["cells_used"] == count and word in said

    return check


def _points_or_said(count: int) -> Callable[[Answer], Said]:
    """So many cells, or fewer and a note that says what was averaged, or a refusal."""

    def check(answer: Answer) -> Said:
        if answer.refused:
            return answer.refusal, True
        said, _ = _averaged_with_note(count, "")(answer)
        return said, answer.fit["cells_used"] == count or bool(answer.fit["notes"])

    return check


def _curves(answer: Answer) -> Said:
    found = answer.fit["coefficients"]["beta"]
    said = f"{answer.fit['runs_used']} rows of {answer.fit['clusters_used']} runs; {_words('beta', found)}"
    return said, answer.fit["clusters_used"] == 12 and _inside(found, 0.28)


def _gemstones(answer: Answer) -> Said:
    found = answer.fit["coefficients"]["E"]
    said = f"{answer.fit['runs_used']} rows of {answer.fit['clusters_used']} runs; {_words('E', found)}"
    return said, answer.fit["clusters_used"] == 22 and found["high"] - found["low"] > 0.5


def _overtakes(*answers: Answer) -> Said:
    found = [answer.body["crossing"] for answer in answers]
    right = all(answer.body["better"] == each["overtakes"] == "b" for answer, each in zip(answers, found, strict=True))
    right &= all(_inside(each["core_hours"], 54) for each in found)
    return "; ".join(answer.body["sentence"].partition(";")[0] for answer in answers), right


def _law_is_one(fit: Answer, prediction: Answer) -> Said:
    first, second = fit.body["fits"][:2]
    said = f"{first['law']} first (E {significant(first['coefficients']['E']['value'])}), forecasts ×/÷ {1 + first['forecast_error']:.3f}"
    said += f"; then {second['law']} ×/÷ {1 + second['forecast_error']:.3f}; at 1e6 {_forecast(1.0317)(prediction)[0]}"
    right = first["chosen"] and first["law"] == "power-floor" and second["law"] == "power"
    return said, right and first["forecast_error"] < second["forecast_error"] and _forecast(1.0317)(prediction)[1]


def _not_green(*words: str) -> Callable[[Answer], Said]:
    """The second light is off, for this reason, though the coefficients are known."""

    def check(answer: Answer) -> Said:
        light = answer.fit["lights"]["forecasts_well"]
        mark = {True: "✓", False: "✗", None: "?"}[light["ok"]]
        return f"forecasts well {mark} {light['reason']}", light["ok"] is not True and all(
            word in light["reason"] for word in words
        )

    return check


def _diagnosed(code: str) -> Callable[[Answer], Said]:
    def check(answer: Answer) -> Said:
        found = {entry["code"]: entry["message"] for entry in answer.fit["diagnostics"]}
        return f"{code}: {found[code]}" if code in found else f"nothing of {code}", code in found

    return check


def _per_cent(answer: Answer) -> Said:
    """The line of all runs lies 2 to 3 % above the truth there, so that 121 % are 115 to 121."""
    found = [float(value) for value in re.findall(r"row 21[^%\"]{1,20}([+-][\d.]+) % off the law", answer.text)]
    return f"{found[0]:+.0f} % off the law" if found else "nothing of the run", bool(found) and all(
        110 < value < 122 for value in found
    )


def _left_out(*, exponent: float = 0.2, **reasons: str) -> Callable[[Answer], Said]:
    """These runs are left out for these reasons (blanks as _), no other is, and the exponent is the truth."""

    def check(answer: Answer) -> Said:
        if answer.refused:
            return answer.refusal, False
        a = answer.fit["coefficients"]["a"]["value"]
        out = answer.left_out
        said = f"a {significant(a)}, {answer.fit['runs_used']} runs; left out: "
        said += ", ".join(f"{id} ({reason})" for id, reason in list(out.items())[:2]) + (
            f" and {len(out) - 2} more" if len(out) > 2 else ""
        )
        return said if out else said.replace("left out: ", "none left out"), (
            abs(a - exponent) < 0.003 and out == {name.replace("_", " "): reason for name, reason in reasons.items()}
        )

    return check


def _all_rehearsed_out(answer: Answer) -> Said:
    said, _ = _left_out()(answer)
    return said, not answer.refused and answer.fit["runs_used"] == 10 and len(answer.left_out) == 10


def _refused(*words: str) -> Callable[[Answer], Said]:
    """Refused, and the refusal has these words, the cure among them."""
    return lambda answer: (answer.refusal, answer.refused and all(word in answer.text for word in words))


def _refused_with_cure(refusal: Answer, cure: Answer) -> Said:
    """The first is refused, its hint says what is typed second, and that gives the truth."""
    said, right = _left_out()(cure)
    return f"{refusal.refusal} → with it {said}", refusal.refused and "--count-status failed" in refusal.text and right


def _compares(answer: Answer) -> Said:
    return answer.body["sentence"].partition(" The gap")[0], answer.body["better"] == "mixup" and abs(
        answer.body["ratio"]["value"] - 1.03
    ) < 0.005


def _names_agree(*answers: Answer) -> Said:
    refused = [answer for answer in answers if answer.refused]
    if refused:
        return refused[0].refusal, False
    values = [answer.fit["coefficients"]["a"]["value"] for answer in answers]
    return f"a {significant(values[0])} by our names, {significant(values[1])} by the table's", max(
        abs(a - 0.2) for a in values
    ) < 1e-6


def _isoflop() -> pd.DataFrame:
    return pd.read_csv(FILES / "isoflop-one-budget-many-sizes" / "runs.csv")


def _rounded_epochs(table: pd.DataFrame) -> pd.DataFrame:
    """Epochs of 10¹¹ examples, rounded up to tenths."""
    return table.assign(epochs=np.ceil(table["examples_seen"] / 1e10) / 10)


def _of(case: str, name: str = "runs.csv") -> dict[str, Path]:
    return {name: FILES / case / name}


_OPTIMUM = "scaling frontier --optimum --x train_flops --data runs.csv --json"
_POWER = "scaling fit --data runs.csv --law power --on all --json"
_BY_FLOPS = "scaling fit --data runs.csv --x train_flops --law power --json"
_SURFACE = "scaling fit --data runs.csv --x params,examples_seen --law chinchilla --json"

CASES = (
    Case(1, "12 points in FLOP and in EFLOP", {"flop.csv": tables.power_floor, "exaflop.csv": lambda: tables.power_floor(unit=1e18)},
         tuple(f"scaling fit --data {name}.csv --x train_flops --law power-floor --on all --json" for name in ("flop", "exaflop")),
         "a 0.3230 (0.2921 … 0.3230) in FLOP, (0.2921 … 0.3549) in EFLOP", _same_in_other_unit),
    Case(1, "sizes and examples as large numbers", {"runs.csv": tables.sizes_and_examples}, (_SURFACE,),
         "one or both ends lay on the estimate in 6 of 25 public tables", _coefficients(E=1.7, alpha=0.34, beta=0.28)),
    Case(1, "surface-no-floor-interval: the best floor is 0", _of("surface-no-floor-interval"), (_SURFACE,),
         "E 0 … 1e-13, alpha 0.069 … 0.069", _coefficients(E=1.8, alpha=0.35)),
    Case(1, "one run of 9,000 repeats, R* = 15", {"runs.csv": tables.repeated},
         ("scaling fit --data runs.csv --law data-constrained --on all --json",), "R* pinned at 90, interval of zero width", _coefficients(Rstar=15)),
    Case(1, "one loss 1.5 times too high, robust objective", {"runs.csv": tables.one_outlier},
         ("scaling fit --data runs.csv --law power --objective huber-log --json",), "robust intervals covered 86–92 %", _coefficients(a=0.1)),
    Case(1, "the same, the forecast at 3 times the largest run", {"runs.csv": tables.one_outlier},
         ("scaling predict --data runs.csv --at 3000 --json",), "auto covered 86 %", _forecast(3 * 3000**-0.1)),
    Case(1, "the rows of an isoFLOP table in another order",
         {"runs.csv": tables.valley, "other.csv": lambda: tables.valley().sample(frac=1, random_state=3)},
         (_OPTIMUM, _OPTIMUM.replace("runs.csv", "other.csv")), "the first row's size stood for its budget", _any_order),
    Case(2, "isoflop-one-budget-many-sizes (truth 0.514)", _of("isoflop-one-budget-many-sizes"), (_OPTIMUM,),
         "N ∝ C^0.0011 (0.00105 … 0.00115), ok", _size_exponent(0.514)),
    Case(2, "the same by isocompute", _of("isoflop-one-budget-many-sizes"), (_OPTIMUM,),
         "refused: each size once at each exact budget", _size_exponent(0.514, "isocompute")),
    Case(2, "params and epochs without model", {"runs.csv": tables.grid}, ("scaling fit --data runs.csv --law power --on all --json",),
         "6 cells: all sizes of a budget merged", _points(30, "cells")),
    Case(2, "its optimum (truth 0.469)", {"runs.csv": lambda: tables.grid(columns=("params", "epochs", "examples_seen"))},
         ("scaling frontier --optimum --data runs.csv --json",), "sizes merged, no optimum", _size_exponent(0.30 / 0.64)),
    Case(2, "two batch sizes at each budget", {"runs.csv": tables.batch_sizes}, (_POWER,),
         "8 cells: batch sizes averaged as seeds", _points(16, "cells")),
    Case(2, "one seed twice, `augment` differs", {"runs.csv": tables.two_recipes_of_one_seed}, (_POWER,),
         "averaged", _refused("they may differ in augment", "--cell augment")),
    Case(2, "the same with --cell augment", {"runs.csv": tables.two_recipes_of_one_seed}, (f"{_POWER} --cell augment",),
         "no such option", _points(16, "cells")),
    Case(2, "a column of unknown meaning differs in each cell", {"runs.csv": lambda: tables.two_recipes_of_one_seed().drop(columns="seed")},
         (_POWER,), "averaged, and nothing said", _averaged_with_note(8, "--cell augment")),
    Case(2, "five sizes that no column names, at four step budgets", {"runs.csv": tables.unnamed_sizes}, (_POWER,),
         "averaged as five seeds, and nothing said", _points_or_said(20)),
    Case(2, "ten computes, all of 1000 steps", {"runs.csv": lambda: tables.plain(steps=1000)}, (_POWER,), "10 runs, a 0.2", _left_out()),
    Case(2, "checkpoints-as-runs", _of("checkpoints-as-runs"), (_SURFACE,), "321 independent runs, E 19 times too narrow", _gemstones),
    Case(2, "checkpoints of 12 runs, the curve itself (truth 0.28)", {"runs.csv": tables.checkpoints}, (_SURFACE,),
         "240 independent runs", _curves),
    Case(2, "checkpoints of 12 runs, a law of compute", {"runs.csv": tables.checkpoints},
         ("scaling fit --data runs.csv --x train_flops --law power --json",), "240 independent runs", _points(12, "runs")),
    Case(2, "the same, its progress called `steps`", {"runs.csv": lambda: tables.checkpoints_called(step="steps")}, (_BY_FLOPS,),
         "240 independent runs, interval 6 times too narrow", _points(12, "runs")),
    Case(2, "the same, with compute alone", {"runs.csv": lambda: tables.checkpoints_called(step="", run="run_id")}, (_BY_FLOPS,),
         "240 independent runs, interval 6 times too narrow", _points(12, "runs")),
    Case(2, "the same under a `name`, which may be a model's", {"runs.csv": lambda: tables.checkpoints_called(step="tokens", run="name")},
         (_BY_FLOPS,), "240 independent runs, and nothing said", _averaged_with_note(240, "--map run_id=name")),
    Case(2, "1000 and 2000 steps, one epoch each", {"runs.csv": tables.two_step_budgets}, (_POWER,), "6 cells: both budgets averaged as seeds, and nothing said", _points(12, "cells")),
    Case(2, "the same with two seeds", {"runs.csv": lambda: tables.two_step_budgets(seeds=2)}, (_POWER,), "refused: they may differ in what the table does not say", _points(12, "cells")),
    Case(2, "isoflop-one-budget-many-sizes, each row one epoch", {"runs.csv": lambda: _isoflop().assign(epochs=1)}, (_OPTIMUM,),
         "N ∝ C^0.5088 (-2.707 … 3.695), ok", _size_exponent(0.514)),
    Case(2, "the same, epochs rounded up to tenths", {"runs.csv": lambda: _rounded_epochs(_isoflop())}, (_OPTIMUM,),
         "N ∝ C^0.5088 (-2.306 … 3.580), ok", _size_exponent(0.514)),
    Case(2, "compute-noise-kinks, x_noise_10 (truth 0.514)", {"runs.csv": FILES / "compute-noise-kinks" / "x_noise_10.csv"}, (_OPTIMUM,),
         "0.520 (0.520 … 0.601), ok", _size_exponent(0.514)),
    Case(2, "compute-noise-kinks, x_exact_no_model", {"runs.csv": FILES / "compute-noise-kinks" / "x_exact_no_model.csv"}, (_OPTIMUM,),
         "0.313 (0.311 … 0.315), ok", _size_exponent(0.514)),
    Case(2, "compute-noise-kinks, x_exact", {"runs.csv": FILES / "compute-noise-kinks" / "x_exact.csv"}, (_OPTIMUM,),
         "0.515", _size_exponent(0.514)),
    Case(2, "approaches that disagree (truth 0.35)", {"runs.csv": tables.valley}, (_OPTIMUM,),
         "surface made the headline, ok, whatever the others said", _size_exponent(0.35, disagree=True)),
    Case(3, "lines that cross at 54 core-hours, without and with epochs",
         {"without.csv": lambda: tables.crossing(epochs=False), "with.csv": lambda: tables.crossing(epochs=True)},
         tuple(f"scaling compare --by family --data {name}.csv --json" for name in ("without", "with")),
         "a is better, the gap grows; opposite winners without and with epochs", _overtakes),
    Case(4, "a loss with a floor of 1 (at 1e6: 1.0317)", {"runs.csv": tables.with_floor},
         ("scaling fit --data runs.csv --json", "scaling predict --data runs.csv --at 1e6 --json"),
         "four rules for the law; the one shown forecast ×/÷ 2.51 against 1.30", _law_is_one),
    Case(4, "the power law of the same table", {"runs.csv": tables.with_floor}, (_POWER,), "ok", _not_green("residual-trend")),
    Case(4, "a floor above the lowest loss", {"runs.csv": tables.falls_again}, ("scaling fit --data runs.csv --law power-floor --on all --json",),
         "ok", _not_green()),
    Case(4, "four budgets", {"runs.csv": lambda: tables.with_floor(budgets=4)}, ("scaling fit --data runs.csv --json",),
         "a power law, ok", _diagnosed("floor-not-considered")),
    Case(4, "ten budgets, a floor of 1", {"runs.csv": tables.ten_budgets}, ("scaling fit --data runs.csv --json",),
         "broken: E 1.073 (0 … 1.393), k 149 (0 … ∞), at-bound, forecasts well ✓", _coefficients(E=1.0, a=0.2)),
    Case(4, "a loss 121 % too high, in the report", {"runs.csv": tables.far_off}, ("scaling report --data runs.csv -o report.html",),
         "+79 %", _per_cent),
    Case(4, "losses no better than guessing", {"runs.csv": tables.plain}, (f"{_POWER} --chance-loss 1.3",), "nothing", _diagnosed("chance-level")),
    Case(5, "category-named-none", _of("category-named-none"), ("scaling compare --by augment --data runs.csv --json",),
         "every run has augment mixup: there is nothing to compare", _compares),
    Case(5, "history-nan-at-end", {"runs.csv": FILES / "history-nan-at-end" / "history.csv"}, (_POWER,),
         "6 runs, none left out", _left_out(r5="diverged")),
    Case(5, "mlflow-inf", _of("mlflow-inf", "mlflow.db"), (_POWER.replace("runs.csv", "mlflow.db"),),
         "the whole table refused: give it in another unit", _left_out(u8="diverged", u9="val_loss is infinite")),
    Case(5, "wandb-all-failed", {"runs.csv": FILES / "wandb-all-failed" / "wandb_export.csv"},
         (f"{_POWER} --map core_hours=Runtime --map val_loss=loss", f"{_POWER} --map core_hours=Runtime --map val_loss=loss --count-status failed"),
         "refused; the hint did not say how to count them", _refused_with_cure),
    Case(5, "finished at step 480 of 2783", {"runs.csv": tables.short_of_its_steps}, (_POWER,),
         "10 runs, none left out", _left_out(row_3="finished at step 480 of 2783")),
    Case(5, "the export of a chart without __MIN and __MAX", {"runs.csv": tables.chart}, (_POWER,),
         "read as a table of runs", _refused("the export of a chart", "export the runs table")),
    Case(5, "--x and --where by the table's own names", {"runs.csv": lambda: tables.plain(net="m").rename(columns={"core_hours": "secs"})},
         tuple(f"{_POWER} --map core_hours=secs --map family=net --x {x} --where {where}=m" for x, where in (("core_hours", "family"), ("secs", "net"))),
         "unknown column secs", _names_agree),
    Case(5, "examples as FLOP/(6·params)", {"runs.csv": tables.flops_and_params},
         (f"{_SURFACE} --map examples_seen=flops --unit 'examples_seen=FLOP/(6*params)'",), "a product alone was a unit",
         _coefficients(E=1.7, alpha=0.34, beta=0.28)),
    Case(5, "semicolons and decimal commas", {"runs.csv": tables.decimal_commas}, (_POWER,), "refused", _left_out()),
    Case(5, "a title above the column names", {"runs.csv": tables.preamble}, (_POWER,), "an error about a column",
         _refused("it does not name the columns", "delete what stands above")),
    Case(5, "rehearsed runs beside real ones", {"runs.csv": tables.beside_rehearsed}, (_POWER,), "a plain fit was refused", _all_rehearsed_out),
)  # fmt: skip


def table(cases: tuple[Case, ...] = CASES) -> str:
    """The page's tables, a section each: case | before | now | right?, and the command below the case."""
    said = [(case, *case.run()) for case in cases]
    lines = [f"{sum(right for *_, right in said)} of {len(said)} cases are right now."]
    for number, title in SECTIONS.items():
        lines += ["", f"## {title}", "", "| case | before | now | right? |", "|---|---|---|---|"]
        for case, now, right in said:
            if case.section == number:
                cells = (
                    f"{case.name}<br>{' '.join(f'`{command}`' for command in case.commands)}",
                    case.before,
                    now,
                    "yes" if right else "**no**",
                )
                lines.append(f"| {' | '.join(cell.replace('|', '/').replace(chr(10), ' ') for cell in cells)} |")
    return "\n".join(lines)


def on_page(page: str, made: str) -> str:
    """The page with what stands between its markers replaced."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{made}\n\n{END}{rest.split(END)[1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", action="store_true", help="write the table into docs/strangers.md")
    made = table()
    if parser.parse_args().docs:
        PAGE.write_text(on_page(PAGE.read_text(), made))
    else:
        print(made)


if __name__ == "__main__":
    main()
