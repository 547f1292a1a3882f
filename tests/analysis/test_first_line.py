"""A first line that is fine is not blamed, and every command that a cure gives makes a table that is read."""

from __future__ import annotations

import re
import subprocess

import pytest

import analysis
from scaling.errors import DataError

HOURS = ["1.5", "3.0", "6.0", "12.25"]
LOSSES = ["2.0", "1.7411", "1.51572", "1.0"]


def write(tmp_path, text, name="runs.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


def lines(line, header="core_hours,val_loss"):
    """A table of a header and a line for each run; `line` has {h} for its hours and {l} for its loss."""
    return "\n".join([header, *(line(hours, loss) for hours, loss in zip(HOURS, LOSSES, strict=True))]) + "\n"


def cured(tmp_path, hint, mapped=None):
    """The table that the command in the hint writes."""
    found = re.search(r"(?:tail|sed|tr) .* > (\S+\.csv)", hint)
    assert found is not None, hint
    subprocess.run(["bash", "-c", found[0]], cwd=tmp_path, check=True)
    return analysis.read_runs(tmp_path / found[1], mapped)


def refused(tmp_path, text, words, mapped=None):
    with pytest.raises(DataError, match=words) as caught:
        analysis.read_runs(write(tmp_path, text), mapped)
    return caught.value.hint


def numbers(runs):
    return [[f"{value:g}" for value in runs[name]] for name in ("core_hours", "val_loss")]


RIGHT = [[f"{float(value):g}" for value in column] for column in (HOURS, LOSSES)]


@pytest.mark.parametrize("end", [",", ",,,", ", ,"])
def test_separators_at_the_ends_of_rows_are_read(tmp_path, end):
    text = lines(lambda hours, loss: f"{hours},{loss}{end}")
    assert numbers(analysis.read_runs(write(tmp_path, text))) == RIGHT


def test_a_full_field_beyond_the_header_is_refused(tmp_path):
    hint = refused(tmp_path, lines(lambda hours, loss: f"{hours},{loss},x"), r"line 2 has 3 fields, the header 2$")
    assert "name every column" in hint
    assert "delete" not in hint


@pytest.mark.parametrize("header", ["core_hours,val_loss", "cost,quality"])
def test_decimal_commas_between_commas(tmp_path, header):
    text = lines(lambda hours, loss: f"{hours},{loss}".replace(".", ","), header)
    mapped = None if "val_loss" in header else {"core_hours": "cost", "val_loss": "quality"}
    hint = refused(tmp_path, text, "line 2 has 4 fields, the header 2: is a comma both", mapped)
    assert "semicolons" in hint
    assert numbers(cured(tmp_path, hint, mapped)) == RIGHT


def test_decimal_commas_beside_words(tmp_path):
    text = lines(lambda hours, loss: f"m,{hours},{loss}".replace(".", ","), "model,core_hours,val_loss")
    assert numbers(cured(tmp_path, refused(tmp_path, text, "is a comma both"))) == RIGHT


def test_decimal_commas_in_some_rows_have_no_command(tmp_path):
    text = lines(lambda hours, loss: f"{hours},{loss}".replace(".", ",")) + "64,0,5\n"
    hint = refused(tmp_path, text, "is a comma both")
    assert "sed" not in hint


def test_single_quotes(tmp_path):
    text = lines(lambda hours, loss: f"'a, b',{hours},{loss}", "note,core_hours,val_loss")
    runs = cured(tmp_path, refused(tmp_path, text, "line 2 has 4 fields, the header 3: single quotes do not hold"))
    assert numbers(runs) == RIGHT
    assert set(runs["note"]) == {"a, b"}


@pytest.mark.parametrize("title", [",2024", "Study,2024", "2024,5", "Study,May"])
@pytest.mark.parametrize("header", ["core_hours,val_loss", "cost,quality"])
def test_a_title_as_wide_as_the_table(tmp_path, title, header):
    text = title + "\n" + lines(lambda hours, loss: f"{hours},{loss}", header)
    mapped = None if "val_loss" in header else {"core_hours": "cost", "val_loss": "quality"}
    assert refused(tmp_path, text, "line 2 .* has words where the lines below it have numbers", mapped).endswith("delete line 1")


def test_numbers_as_column_names_are_read(tmp_path):
    text = "model,0.1,0.2\nresnet,fast,1\nvit,slow,2\nmlp,fast,3\ncnn,slow,4\n"
    assert list(analysis.read_runs(write(tmp_path, text))["0.2"]) == [1, 2, 3, 4]


@pytest.mark.parametrize("end", ["", "|"])
def test_pipes_separate_columns(tmp_path, end):
    text = lines(lambda hours, loss: f"{end}{hours} | {loss}{end}", f"{end}core_hours | val_loss{end}")
    runs = analysis.read_runs(write(tmp_path, text))
    assert numbers(runs) == RIGHT
    assert "the columns of runs.csv are separated by pipes" in analysis.source_of(runs)["notes"]


def test_pipes_inside_cells_separate_nothing(tmp_path):
    text = lines(lambda hours, loss: f"a|b,{hours},{loss}", "x|y,core_hours,val_loss")
    runs = analysis.read_runs(write(tmp_path, text))
    assert numbers(runs) == RIGHT
    assert set(runs["x|y"]) == {"a|b"}


def test_separators_at_the_ends_of_rows_do_not_make_pipes_one(tmp_path):
    text = lines(lambda hours, loss: f"a|b,{hours},{loss},", "x|y,core_hours,val_loss")
    assert numbers(analysis.read_runs(write(tmp_path, text))) == RIGHT


def test_dashes_for_no_values_are_no_rule(tmp_path):
    text = "core_hours,val_loss,note\n--,--,--\n1,2,x\n"
    with pytest.raises(DataError, match="row 1, column core_hours: '--' is not a number"):
        analysis.read_runs(write(tmp_path, text))


@pytest.mark.parametrize(
    ("header", "rule"),
    [
        ("| model | core_hours | val_loss |", "|---|---|---|"),
        ("| model | core_hours | val_loss |", "| :--- | ---: | :-: |".replace(":-:", ":--:")),
        ("model | core_hours | val_loss", "--- | --- | ---"),
        (" model | core_hours | val_loss", "-------+------------+----------"),
    ],
)
def test_tables_of_markdown_name_the_cure(tmp_path, header, rule):
    edge = "|" if header.startswith("|") else ""
    text = lines(lambda hours, loss: f"{edge} m  | {hours} | {loss} {edge}".strip(), f"{header}\n{rule}")
    runs = cured(tmp_path, refused(tmp_path, text, "line 2 .* is the rule of a table in Markdown"))
    assert numbers(runs) == RIGHT
    assert set(runs["model"]) == {"m"}


@pytest.mark.parametrize("gap", [" ", "    "])
@pytest.mark.parametrize("indent", ["", "  "])
@pytest.mark.parametrize("name", ["runs.csv", "runs.tsv"])
def test_columns_between_blanks_name_the_cure(tmp_path, gap, indent, name):
    text = lines(lambda hours, loss: f"{indent}{hours}{gap}{loss}", f"{indent}core_hours{gap}val_loss")
    with pytest.raises(DataError, match="is one field: blanks separate the columns") as caught:
        analysis.read_runs(write(tmp_path, text, name))
    assert numbers(cured(tmp_path, caught.value.hint)) == RIGHT


def test_a_printed_table_with_row_numbers_between_blanks(tmp_path):
    rows = [f"{place}  {hours}  {loss}" for place, (hours, loss) in enumerate(zip(HOURS, LOSSES, strict=True))]
    text = "\n".join(["   core_hours  val_loss", *rows]) + "\n"
    assert numbers(cured(tmp_path, refused(tmp_path, text, "blanks separate the columns"))) == RIGHT


def test_words_in_one_column_are_no_columns_between_blanks(tmp_path):
    assert len(analysis.read_runs(write(tmp_path, "what it is\na red fox\na blue cat\n"))) == 2
