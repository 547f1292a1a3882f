"""Pages that show what is no run of the store: results of others beside the frontier, and several sides in pairs."""

from __future__ import annotations

import csv
import html
import io
import json
import re

import pytest

from tests.api.page_text import text_of, words_of_command

ASKED = "metric=val_top1_error&convert=TPU-v4:cpu=1e6"  # the store's runs were trained on a CPU


def traces(page, chart):
    (drawn,) = re.findall(rf'id="{chart}".*?<script type="application/json">(.*?)</script>', page, re.S)
    return [trace.get("name") for trace in json.loads(drawn)["data"]]


def test_results_of_others_are_one_link_away_and_off_by_default(client):
    page = text_of(client.get(f"/frontier?{ASKED}"))
    assert "ViT-G/14 (published)" not in traces(page, "frontier")
    (link,) = re.findall(r'<a href="([^"]*)">Show published results beside it</a>', page)
    shown = text_of(client.get(html.unescape(link)))
    assert {"ViT-G/14 (published)", "NFNet-F7+, 8 epochs (published)"} < set(traces(shown, "frontier"))
    assert "ViT-G/14 took more than the compute at which it stands" in shown
    assert "arXiv 2106.04560" in shown
    words = words_of_command(shown, "scaling frontier --metric")
    assert "--reference published" in " ".join(words)
    (hide,) = re.findall(r'<a href="([^"]*)">Leave them out</a>', shown)
    assert "reference" not in hide


def test_json_and_csv_have_the_points_with_their_sources(client):
    asked = f"{ASKED}&reference=all"
    body = client.get(f"/frontier.json?{asked}").json()
    rows = list(csv.DictReader(io.StringIO(client.get(f"/frontier/reference-points.csv?{asked}").text)))
    assert len(rows) == len(body["reference_points"]) == 27
    assert body["reference_points"][3]["core_hours"] == pytest.approx(0.12)  # 120,000 on TPU-v4, by a million
    assert [float(row["core_hours"] or "nan") for row in rows[:2]] == pytest.approx([0.11, 0.11])
    assert all(row["source"] for row in rows)
    without = client.get(f"/frontier.json?{ASKED}").json()
    assert "reference_points" not in without
    assert without["points"] == body["points"]
    assert without["answer"] == body["answer"]


def test_what_does_not_belong_there_is_said_on_the_page_and_answered_in_json(client):
    page = text_of(client.get("/frontier?reference=published"))
    assert "No results of others beside it" in page
    assert "top-1 errors against core_hours, and the frontier is of val_loss" in page
    apart = client.get("/api/v1/frontier?metric=val_top1_error&reference=published")
    assert (apart.status_code, "--convert TPU-v4:cpu=FACTOR" in apart.text) == (422, True)
    assert client.get("/frontier?reference=/etc/passwd").status_code == 422


def test_several_sides_are_compared_in_pairs_with_one_verdict(client):
    page, body = text_of(client.get("/compare?by=model")), client.get("/api/v1/compare?by=model").json()
    assert body["sentence"] in html.unescape(page)
    assert [(pair["a"], pair["b"]) for pair in body["pairs"]] == [
        ("nano-F0", "nano-F1"),
        ("nano-F0", "nano-F3"),
        ("nano-F1", "nano-F3"),
    ]
    for pair in body["pairs"]:
        assert f'/compare?by=model&amp;a={pair["a"]}&amp;b={pair["b"]}"' in page
    assert client.get("/compare.csv?by=model").text.count("\n") == 4
    (one,) = [pair for pair in body["pairs"] if (pair["a"], pair["b"]) == ("nano-F0", "nano-F3")]
    alone = client.get("/api/v1/compare?by=model&a=nano-F0&b=nano-F3").json()
    assert one["at_largest"] == alone["at_largest"]
