"""How well the forecast beyond the runs holds on published curves, beside other rules; and where its learnt numbers come from.

    python benchmarks/forecast.py run [--minutes 30]    # appends to forecast.csv what is not there yet
    python benchmarks/forecast.py table                 # errors, for docs/laws_figures.md
    python benchmarks/forecast.py intervals             # what the intervals hold, for docs/laws_figures.md
    python benchmarks/forecast.py domains               # the same, a domain a row
    python benchmarks/forecast.py simulate              # writes forecast_simulated.csv
    python benchmarks/forecast.py simulated             # what it says, for docs/laws_figures.md
    python benchmarks/forecast.py reliability [--out analysis/figures/reliability.json]
    python benchmarks/forecast.py picture --out docs/forecast_reliability.svg
    python benchmarks/forecast.py learn [--without DOMAIN] [--out analysis/backtest/learnt.json]

Curves: 78 of four domains (`tests/reference/laws/real_curves.csv`) and the 20 language curves of Alabdulmohsin et al. 2022 (arXiv
2209.06640), three domains. Each is cut at a half, a quarter and a tenth of its largest x, where five values or more remain; the language
curves also where their authors cut them ("own", which is a half, so that half is not repeated). Rules:

- `laws by back-test`: the average of laws by the sixth power of their score, which `auto` was before;
- `plain mean`: of power-floor, saturating and Hill, each fitted to all runs;
- `fixed mix`: 0.44 recent power-floor, 0.30 Hill, 0.10 recent saturating, 0.09 power, divided by their sum; recent: runs weigh e times less
  for each 0.2 of the log range. Its interval: t4 whose scale is learnt on the other domains from its spread and the back-test's growth;
- `auto`: as installed. It has seen all these curves;
- `auto, other domains`: the same with numbers learnt without the curve's domain: what stands for fresh curves;
- `best law in hindsight`: of all laws, plain and recent, the one with the least error.

Seconds are of processor time, of the forecast with its interval at all points kept aside.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from csv_table import markdown
from forecast_curves import AIM, FACTORS, OWN, PRECISION, Cut, cuts, distance, farthest, rmsle
from forecast_learnt import TAIL, learn, scale_of
from forecast_simulated import simulate, simulated_table
from scipy import stats

from analysis.automatic import automatic, candidates
from analysis.backtest.backtest import backtest
from analysis.backtest.forecast import ForecastEstimate
from analysis.backtest.recent import FREEDOM
from analysis.backtest.windows import HORIZON
from analysis.fitting.point import fit_point

CSV = Path(__file__).with_suffix(".csv")
SIMULATED = CSV.with_name("forecast_simulated.csv")
COLUMNS = ["domain", "curve", "factor", "rule", "rmsle", "error", "low", "high", "distance", "spread", "growth", "seconds"]
MIX = {("power-floor", True): 0.44, ("hill", False): 0.30, ("saturating", True): 0.10, ("power", False): 0.09}
PLAIN = {("power-floor", False): 1.0, ("saturating", False): 1.0, ("hill", False): 1.0}
RULES = ("laws by back-test", "plain mean", "fixed mix", "auto", "auto, other domains", "best law in hindsight")


# ---- rules


def rows_of_cut(cut: Cut) -> Iterator[dict[str, object]]:
    """What each rule says of the points kept aside; of `auto, other domains` see `other_domains`."""
    at = cut.at[None]
    began = time.process_time()
    found = automatic(cut.sample, ["C"], objective=AIM, precision=PRECISION)
    mean, (low, high) = found.estimate.log_mean(at), found.estimate.log_new_run(at)
    yield _row(cut, "auto", mean, low, high, seconds=time.process_time() - began)

    began = time.process_time()
    assert isinstance(found.estimate, ForecastEstimate)
    laws = found.estimate.laws.estimate
    mean, (low, high) = laws.log_mean(at), laws.log_new_run(at)
    assert found.backtest is not None
    growth = float(found.backtest.error.slope)
    yield _row(cut, "laws by back-test", mean, low, high, seconds=time.process_time() - began)

    began, said = time.process_time(), _members(cut)
    seconds = time.process_time() - began
    for rule, weights in (("plain mean", PLAIN), ("fixed mix", MIX)):
        known = {member: weight for member, weight in weights.items() if member in said}
        shares = np.array(list(known.values())) / sum(known.values())
        curves = np.stack([said[member] for member in known])
        mean = shares @ curves
        spread = float(np.sqrt(shares @ (curves - mean)[:, farthest(cut)] ** 2))
        yield _row(cut, rule, mean, spread=spread, growth=growth * distance(cut), seconds=seconds)
    best = min(said.values(), key=lambda curve: rmsle(cut, curve))
    yield _row(cut, "best law in hindsight", best, seconds=seconds)


def _members(cut: Cut) -> dict[tuple[str, bool], np.ndarray]:
    """Each law fitted plainly and with recency weights, where there are enough points: its log curve at the points kept aside."""
    log_x = np.log(cut.x)
    recency = np.exp(-(log_x.max() - log_x) / (0.2 * np.ptp(log_x)))
    laws = [law for law in candidates(["C"]) if len(np.unique(cut.x)) >= law.least_points]
    return {
        (law.name, recent): law.log_curve(
            cut.at[None], fit_point(law, cut.x[None], cut.y, weights=recency if recent else None).theta
        )[0]
        for law, recent in itertools.product(laws, (False, True))
    }


def other_domains(domain: str) -> Iterator[dict[str, object]]:
    """`auto` with numbers learnt without a domain, on its curves."""
    learnt = learn([cut for cut in cuts() if cut.domain != domain])
    for cut in cuts():
        if cut.domain == domain:
            began = time.process_time()
            test = backtest(
                candidates(["C"]), cut.sample, np.log(cut.x), AIM, rows_of=lambda law: [0], horizon=HORIZON, learnt=learnt
            )
            made = automatic(cut.sample, ["C"], objective=AIM, precision=PRECISION).estimate
            assert test.recent is not None
            assert isinstance(made, ForecastEstimate)
            laws = partial(getattr, made, "laws")
            forecast = ForecastEstimate(test.recent.fitted, test.recent.slope, test.share, PRECISION, laws, learnt)
            mean, (low, high) = forecast.log_mean(cut.at[None]), forecast.log_new_run(cut.at[None])
            yield _row(cut, "auto, other domains", mean, low, high, seconds=time.process_time() - began)


def _row(
    cut: Cut,
    rule: str,
    mean: np.ndarray,
    low: np.ndarray | None = None,
    high: np.ndarray | None = None,
    *,
    spread: float = float("nan"),
    growth: float = float("nan"),
    seconds: float,
) -> dict[str, object]:
    last = farthest(cut)
    numbers = {
        "rmsle": rmsle(cut, mean),
        "error": mean[last] - cut.log_truth[last],
        "low": low[last] - cut.log_truth[last] if low is not None else np.nan,
        "high": high[last] - cut.log_truth[last] if high is not None else np.nan,
        "distance": distance(cut),
        "spread": spread,
        "growth": growth,
    }
    named = {"domain": cut.domain, "curve": cut.curve, "factor": cut.factor, "rule": rule}
    return named | {name: f"{value:.6g}" for name, value in numbers.items()} | {"seconds": f"{seconds:.4f}"}


# ---- tables


def _table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"factor": str})


def errors_table(path: Path) -> str:
    """Mean RMSLE of each rule, a domain and factor a row."""
    table = _table(path)
    rows = []
    for (domain, factor), some in table.groupby(["domain", "factor"]):
        rows.append((str(domain), f"{factor}×" if factor != OWN else "their own", some))
    for factor in map(str, FACTORS):
        rows.append(("all", f"{factor}×", table[table["factor"] == factor]))
    rows.append(("all", "all", table))
    lines = []
    for domain, factor, some in rows:
        means = some.groupby("rule")["rmsle"].mean()
        lines.append([domain, factor, some["curve"].groupby(some["rule"]).size().max(), *(f"{means[rule]:.4f}" for rule in RULES)])
    seconds = table.groupby("rule")["seconds"].mean() * 1000
    lines.append(["processor time, ms a curve", "", "", *(f"{seconds[rule]:.0f}" if rule == "auto" else "" for rule in RULES)])
    return markdown(["domain", "cut", "curves", *RULES], lines)


def with_mix(table: pd.DataFrame) -> pd.DataFrame:
    """Add the fixed mix's interval: t4 with the scale learnt on the other domains."""
    table = table.copy()
    mix = table["rule"] == "fixed mix"
    for domain in table["domain"].unique():
        others = table[mix & (table["domain"] != domain)].rename(columns={"growth": "slope"})
        others = others.assign(residual=0.0, tested=True, vote=1.0)
        factors = np.array(list(scale_of(others, ("spread", "slope")).values()))
        here = mix & (table["domain"] == domain)
        scale = np.sqrt(table.loc[here, ["spread", "growth"]].to_numpy() ** 2 @ factors)
        half = stats.t.ppf(1 - TAIL / 2, FREEDOM) * scale
        table.loc[here, "low"], table.loc[here, "high"] = table.loc[here, "error"] - half, table.loc[here, "error"] + half
    return table


WITH_INTERVAL = ("laws by back-test", "fixed mix", "auto, other domains")


def held(table: pd.DataFrame) -> pd.DataFrame:
    """Add whether the farthest point lies inside, half the width, and the Winkler score, all of log metric."""
    outside = np.maximum(0.0, np.maximum(table["low"], -table["high"]))
    width = table["high"] - table["low"]
    return table.assign(inside=outside == 0, half=width / 2, winkler=width + 2 / TAIL * outside)


def intervals_table(path: Path, draws: int = 2000) -> str:
    """Share of farthest points inside, with what 95 % would give; median half-width; Winkler score and its difference by bootstrap."""
    table = held(with_mix(_table(path)))
    rng, lines = np.random.default_rng(0), []
    for factor in (OWN, *map(str, FACTORS)):
        here = table[table["factor"] == factor].set_index(["domain", "curve"])
        ours = here[here["rule"] == WITH_INTERVAL[-1]]["winkler"]
        for rule in WITH_INTERVAL:
            some = here[here["rule"] == rule]
            low, high = stats.binom.ppf([0.005, 0.995], len(some), 1 - TAIL)
            apart = (some["winkler"] - ours.reindex(some.index)).to_numpy()
            drawn = np.quantile(apart[rng.integers(0, len(apart), (draws, len(apart)))].mean(1), [0.025, 0.975])
            lines.append(
                [
                    f"{factor}×" if factor != OWN else "their own",
                    rule,
                    f"{int(some['inside'].sum())} of {len(some)}",
                    f"{100 * some['inside'].mean():.1f} %",
                    f"{low:.0f} … {high:.0f}",
                    f"{some['half'].median():.3f}",
                    f"{some['winkler'].mean():.3f}",
                    "" if rule == WITH_INTERVAL[-1] else f"{apart.mean():+.3f} ({drawn[0]:+.3f} … {drawn[1]:+.3f})",
                ]
            )
    head = ["cut", "rule", "inside", "share", "95 % would give", "half-width", "Winkler score", "more than ours by (95 %)"]
    return markdown(head, lines)


def domains_table(path: Path) -> str:
    """Share of farthest points inside `auto, other domains`, a domain a row."""
    table = held(_table(path)[lambda rows: rows["rule"] == "auto, other domains"])
    lines = []
    for domain, some in table.groupby("domain"):
        by_cut = {factor: part["inside"] for factor, part in some.groupby("factor")}
        lines.append(
            [
                domain,
                *(f"{int(by_cut[cut].sum())} of {len(by_cut[cut])}" if cut in by_cut else "" for cut in (OWN, *map(str, FACTORS))),
            ]
        )
    return markdown(["domain", "their own", *(f"{factor}×" for factor in FACTORS)], lines)


LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


def reliability(path: Path) -> dict[str, object]:
    """Share of farthest points inside the intervals of `auto, other domains`, for each factor and level."""
    table = _table(path)[lambda rows: rows["rule"] == "auto, other domains"]
    half, middle = (table["high"] - table["low"]) / 2, (table["high"] + table["low"]) / 2
    t = np.abs(middle) / half * stats.t.ppf(1 - TAIL / 2, FREEDOM)
    inside = {
        str(factor): [
            round(float((t[table["factor"] == str(factor)] <= stats.t.ppf(0.5 + level / 2, FREEDOM)).mean()), 4) for level in LEVELS
        ]
        for factor in FACTORS
    }
    return {"levels": LEVELS, "curves": {factor: int((table["factor"] == factor).sum()) for factor in inside}, "inside": inside}


def picture(path: Path) -> str:
    """The same as an SVG, for docs/laws_figures.md: per cent inside against the level, a line for each factor."""
    said = reliability(path)
    at = {level: 60 + 560 * (level - 0.5) / 0.5 for level in (*LEVELS, 1.0)}

    def height(share: float) -> float:
        return 20 + 300 * (1.0 - share) / 0.5

    drawn = [f'<line x1="60" y1="{height(0.5):.0f}" x2="620" y2="{height(1.0):.0f}" stroke="#888" stroke-dasharray="3 3"/>']
    for level in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
        drawn.append(f'<text x="{at[level]:.0f}" y="340" text-anchor="middle">{100 * level:.0f}</text>')
        drawn.append(f'<text x="50" y="{height(level) + 4:.0f}" text-anchor="end">{100 * level:.0f}</text>')
        drawn.append(f'<line x1="60" y1="{height(level):.0f}" x2="620" y2="{height(level):.0f}" stroke="#ccc"/>')
    for number, (factor, shares) in enumerate(said["inside"].items()):  # type: ignore[attr-defined]
        colour = ("#1B80C0", "#D55E00", "#2A9D8F")[number]
        points = [(at[level], height(max(0.5, share))) for level, share in zip(LEVELS, shares, strict=True)]
        drawn.append(
            f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{" ".join(f"{x:.0f},{y:.1f}" for x, y in points)}"/>'
        )
        drawn += [f'<circle cx="{x:.0f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in points]
        label = f"{factor} times beyond, {said['curves'][factor]} curves"  # type: ignore[index]
        drawn.append(f'<text x="420" y="{240 + 22 * number}" fill="{colour}">{label}</text>')
    drawn.append(
        '<text x="340" y="366" text-anchor="middle">level of the interval (%); up: curves whose farthest point lies inside (%)</text>'
    )
    style = 'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 380" font-family="sans-serif" font-size="13" fill="#333"'
    return "\n".join([f"<svg {style}>", '<rect width="640" height="380" fill="white"/>', *drawn, "</svg>\n"])


def run(path: Path, minutes: float) -> None:
    began = time.monotonic()
    done = set()
    if path.exists():
        done = {tuple(row) for row in _table(path)[["domain", "curve", "factor", "rule"]].itertuples(index=False)}
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if new:
            writer.writeheader()
        for cut in cuts():
            if (cut.domain, cut.curve, cut.factor, "best law in hindsight") not in done:
                writer.writerows(row for row in rows_of_cut(cut) if (cut.domain, cut.curve, cut.factor, row["rule"]) not in done)
                file.flush()
            if time.monotonic() - began > 60 * minutes:
                return
        for domain in sorted({cut.domain for cut in cuts()}):
            if not any(each[0] == domain and each[3] == "auto, other domains" for each in done):
                writer.writerows(list(other_domains(domain)))
                file.flush()


PRINTED: dict[str, Callable[[argparse.Namespace], str]] = {
    "table": lambda given: errors_table(given.csv),
    "intervals": lambda given: intervals_table(given.csv),
    "domains": lambda given: domains_table(given.csv),
    "simulated": lambda given: simulated_table(SIMULATED),
    "reliability": lambda given: json.dumps(reliability(given.csv), indent=2),
    "picture": lambda given: picture(given.csv),
    "learn": lambda given: json.dumps(
        asdict(learn([cut for cut in cuts() if cut.domain != given.without])), indent=2, sort_keys=True
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "simulate", *PRINTED])
    parser.add_argument("--csv", type=Path, default=CSV)
    parser.add_argument("--minutes", type=float, default=60.0, help="no cut is begun after this many")
    parser.add_argument("--without", help="a domain that is left out of what is learnt")
    parser.add_argument("--out", type=Path, help="write to this file instead of printing")
    arguments = parser.parse_args()
    if arguments.what == "run":
        run(arguments.csv, arguments.minutes)
    elif arguments.what == "simulate":
        simulate(SIMULATED)
    else:
        text = PRINTED[arguments.what](arguments)
        print(text) if arguments.out is None else arguments.out.write_text(text.rstrip("\n") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
