"""`/runs/overlay?run=…&run=…`: the curves of several runs over each other, and the settings in which they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from analysis.figures.curves import Curve, curve_layout, curve_line, scale_of
from analysis.presentation import figure_json
from api.database import TheDatabase
from api.pages.curves import Numbers, as_table
from api.pages.welcome import no_store
from api.rendering import render
from api.v1.runs import run_with_curves
from scaling.columns import RUN_COLUMNS
from scaling.errors import UsageError

__all__ = ["differing", "router"]

router = APIRouter(include_in_schema=False)

MOST = 12
_CURVES = {"train_loss": "Training loss (nats)", "val_loss": "Held-out loss (nats)", "learning_rate": "Learning rate"}
_HEIGHT_PX = 320
_ROW = (
    "model",
    "dataset",
    "epochs",
    "learning_rate",
    "batch_size",
    "weight_decay",
    "seed",
    "accelerator",
    "cores",
    "params",
    "steps",
)
_RESULTS = ("status", "val_loss", "val_top1", "core_hours", "train_flops", "step")

Wanted = Annotated[list[str], Query(alias="run", description="Ids of runs, or the beginnings of them.")]


@router.get("/runs/overlay")
def overlay_page(database: TheDatabase, request: Request, run: Wanted = []) -> Response:  # noqa: B006
    """Draw at most 12 runs. Raises `NotFound` for one that does not exist."""
    if (welcome := no_store(request, database)) is not None:
        return welcome
    if len(run) > MOST:
        raise UsageError(f"{len(run)} runs are ticked; at most {MOST} can be told apart in a chart", hint="go back and untick some")
    found = {detail["id"]: (detail, curves) for detail, curves in (run_with_curves(database, prefix) for prefix in run)}
    details = [detail for detail, _ in found.values()]
    settings = [dict(_settings(detail)) for detail in details]
    names = dict.fromkeys(name for each in settings for name in each)
    return render(
        request,
        "overlay.html",
        runs=details,
        figures=_figures(list(found.values())),
        differing=differing(settings),
        alike=sum(all(each.get(name) == settings[0].get(name) for each in settings) for name in names),
        results={name: [detail.get(name) for detail in details] for name in _RESULTS},
        columns={column.name: column for column in RUN_COLUMNS},
    )


def differing(settings: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the settings that are not the same in all, with their values in the order of the runs; None where a run has none."""
    names = dict.fromkeys(name for each in settings for name in each)
    rows = {name: [each.get(name) for each in settings] for name in names}
    return {name: values for name, values in rows.items() if any(value != values[0] for value in values)}


def _settings(detail: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what was set: the columns of the run, then each entry of its config by its path, but for those that the columns tell."""
    for name in _ROW:
        yield name, detail.get(name)
    told = {detail.get(name) for name in _ROW if not isinstance(detail.get(name), list)}
    for path, value in _leaves(detail["config"]):
        if path.rpartition(".")[2] not in _ROW or value not in told:
            yield path, value


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, entry in value.items():
            yield from _leaves(entry, f"{path}.{name}" if path else str(name))
    else:
        yield path, str(value) if isinstance(value, (list, tuple, dict)) else value


def _figures(
    runs: Sequence[tuple[Mapping[str, Any], Mapping[str, Curve]]],
) -> list[tuple[str, str, Numbers]]:
    drawn: list[tuple[str, str, Numbers]] = []
    for name, title in _CURVES.items():
        lines = [(detail, _points(detail, curves, name)) for detail, curves in runs]
        if any(points for _, points in lines):
            figure = _figure(name, lines)
            drawn.append((title, figure_json(figure), as_table(figure)))
    return drawn


def _points(detail: Mapping[str, Any], curves: Mapping[str, Any], name: str) -> Curve:
    if name == "val_loss":
        return [(row["step"], row["loss"]) for row in detail["evaluations"] if row["loss"] is not None]
    return curves.get(name, ())


def _figure(name: str, lines: Sequence[tuple[Mapping[str, Any], Curve]]) -> dict[str, object]:
    values, scale = scale_of((points for _, points in lines), is_loss=name.endswith("loss"))
    last = max((step for _, points in lines for step, _ in points), default=1)
    named = [(detail["id"], detail["id"][:8], points) for detail, points in lines]
    return {
        "data": [
            curve_line(short, points, number, is_marked=name == "val_loss", hover=f"{short}, step")
            | {"customdata": [run_id] * len(points)}
            for number, (run_id, short, points) in enumerate(named)
        ],
        "layout": curve_layout(
            values, scale, revision=("overlay", name), height=_HEIGHT_PX, over="step", last=last, has_legend=True
        ),
    }
