"""How runs were trained: the settings of a run's config that are not neutral, by the names of `scaling.columns.RECIPE_COLUMNS`.

A row of a run has a setting only where it is not neutral, so that a row says the same on every page of a listing. `scaling.columns`
fills the gaps where a table is made of rows.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from orchestrator.store.membership import among
from orchestrator.store.models import Run
from scaling.columns import RECIPE_COLUMNS, RECIPE_NEUTRAL

__all__ = ["recipes_of", "settings_of"]

_PARTS = ("optimizer", "schedule", "label_smoothing", "ema", "sam", "augment", "model")


def recipes_of(session: Session, ids: Collection[str] | None) -> dict[str, dict[str, Any]]:
    """Map the ids of runs to their settings that are not neutral; of all runs where `ids` is None. Runs of a program have none."""
    config: Any = Run.config
    parts = [config[name].as_string() for name in _PARTS]  # as text: many runs have the same, which is read once
    ours = (Run.macs.is_(None), *(() if ids is None else (among(session, Run.id, ids),)))
    if session.get_bind().dialect.name != "sqlite":
        rows = session.execute(select(Run.id, *parts).where(*ours))
        odd = []
    else:  # it cannot look into a config with an infinite number
        valid = func.json_valid(config) == 1
        rows = session.execute(select(Run.id, *(case((valid, part)) for part in parts)).where(*ours))
        odd = list(session.execute(select(Run.id, config).where(*ours, func.json_valid(config) == 0)))
    found = {run_id: _settings_in(tuple(texts)) for run_id, *texts in rows}
    found |= {run_id: settings_of(config) for run_id, config in odd}
    return {run_id: settings for run_id, settings in found.items() if settings}


@lru_cache(maxsize=4096)
def _settings_in(texts: tuple[str | float | None, ...]) -> dict[str, Any]:
    """Return the settings in these parts of a config: JSON as text, or a number as the database has it. Shared: not to be changed."""
    parts = [json.loads(text) if isinstance(text, str) else text for text in texts]
    return settings_of(dict(zip(_PARTS, parts, strict=True)))


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a run's config that are not neutral, in the order of `RECIPE_COLUMNS`. What it does not have is neutral."""
    augment, model, sam = (config.get(name) or {} for name in ("augment", "model", "sam"))
    options = model.get("options") or {}
    held = {
        "optimizer": (config.get("optimizer") or {}).get("name"),
        "schedule": (config.get("schedule") or {}).get("name"),
        "sam": sam.get("rho"),
        "sam_share": sam.get("share"),
        "augment_repeats": augment.get("repeats"),
        **{name: config.get(name) for name in ("label_smoothing", "ema")},
        **{name: options.get(name) for name in ("dropout", "stochastic_depth")},
        **{name: augment.get(name) for name in ("crop", "flip", "randaugment_layers", "mixup", "cutmix")},
    }
    return {
        name: held[name]
        for name in (column.name for column in RECIPE_COLUMNS)
        if held[name] is not None and held[name] != RECIPE_NEUTRAL[name]
    }
