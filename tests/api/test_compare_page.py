"""`/compare` opens on two sides that can be compared: their runs share compute."""

from __future__ import annotations

import re

from starlette.testclient import TestClient

from api import create_app
from orchestrator.imports import read_import, write_import


def opened_on(folder, sizes):
    """Import runs of models of so many parameters, each over its range of compute; return the two that the page opens on."""
    lines = ["model,params,epochs,seed,train_flops,val_loss,status"]
    for model, (params, budgets) in sizes.items():
        for place, flops in enumerate(budgets):
            lines += [f"{model},{params},{2**place},{seed},{flops:g},{3 * flops**-0.05:g},finished" for seed in (0, 1)]
    (folder / "runs.csv").write_text("\n".join(lines) + "\n")
    write_import(read_import(folder / "runs.csv"), str(folder / "scaling.db"))
    with TestClient(create_app(str(folder / "scaling.db"))) as client:
        page = client.get("/compare?x=train_flops", headers={"accept": "text/html"}).text
    return set(re.search(r"<h1>\s*(\S+) or (\S+)", page).groups())


def budgets(low, times=4):
    return [low * 4.0**step for step in range(times)]


def test_the_smallest_and_the_largest_model_where_all_share_compute(tmp_path):
    sizes = {name: (10**place, budgets(1e15)) for place, name in enumerate(("tiny", "small", "large"), 4)}
    assert opened_on(tmp_path, sizes) == {"tiny", "large"}


def test_two_that_share_compute_where_the_smallest_and_the_largest_share_none(tmp_path):
    sizes = {"tiny": (10**4, budgets(1e12)), "small": (10**5, budgets(1.5e16)), "large": (10**6, budgets(2e16))}
    assert opened_on(tmp_path, sizes) == {"small", "large"}
