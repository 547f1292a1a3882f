"""CSV as other programs write it: separators, decimal commas, lines above the column names."""

from __future__ import annotations

import pytest

import analysis
from scaling.errors import DataError

ROWS = [("m1", 1.5, 2.25), ("m2", 10.125, 1.5), ("m3", 100.0625, 1.0)]


def write(tmp_path, text, name="runs.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def text(separator=",", decimal=".", rows=ROWS, end="\n"):
    lines = [separator.join(("model", "core_hours", "val_loss"))]
    lines += [separator.join((name, *(str(number).replace(".", decimal) for number in numbers))) for name, *numbers in rows]
    return end.join(lines) + end


@pytest.mark.parametrize("name", ["runs.csv", "runs.tsv"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(("separator", "decimal"), [(",", "."), (";", "."), (";", ","), ("\t", "."), ("\t", ",")])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_separators_and_decimal_commas_are_found(tmp_path, name, encoding, separator, decimal, end):
    runs = analysis.read_runs(write(tmp_path, text(separator, decimal, end=end), name, encoding))
    assert list(runs.loc[:, ["model", "core_hours", "val_loss"]].itertuples(index=False, name=None)) == ROWS
    told = "core_hours, val_loss: commas were read as decimal points" in analysis.source_of(runs)["notes"]
    assert told == (decimal == ",")


def test_the_separator_that_excel_states(tmp_path):
    assert list(analysis.read_runs(write(tmp_path, "sep=|\r\n" + text("|")))["val_loss"]) == [2.25, 1.5, 1.0]


def test_a_separator_in_a_name_does_not_count(tmp_path):
    assert list(analysis.read_runs(write(tmp_path, 'a;b,val_loss\n1,2\n"x;y",3\n'))["val_loss"]) == [2, 3]
    assert list(analysis.read_runs(write(tmp_path, 'model;val_loss\n"a,b,c";1,5\nd;2,5\n'))["val_loss"]) == [1.5, 2.5]


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["1,234", "1,5"], [1.234, 1.5]),
        (["0,123", "0,456"], [0.123, 0.456]),
        (["1.234,5", "2.000,25"], [1234.5, 2000.25]),
        (["1,5e-3", "2"], [0.0015, 2]),
        (["1,25", ""], [1.25, None]),
        (["1,25", "NaN"], [1.25, None]),
    ],
)
def test_numbers_with_decimal_commas(tmp_path, cells, numbers):
    runs = analysis.read_runs(write(tmp_path, "a;val_loss\n" + "".join(f"x;{cell}\n" for cell in cells)))
    assert [None if value != value else value for value in runs["val_loss"]] == numbers


def test_another_column_says_what_a_comma_means(tmp_path):
    runs = analysis.read_runs(write(tmp_path, "params;core_hours;val_loss\n1.234.567;1,234;2,5\n2.345.678;2,345;1,5\n"))
    assert list(runs["params"]) == [1234567, 2345678]
    assert list(runs["core_hours"]) == [1.234, 2.345]


@pytest.mark.parametrize(
    ("body", "column", "sign"),
    [
        ("params;val_loss\n1,234;2\n2,345;1\n", "params", "comma"),
        ("params;core_hours;val_loss\n1,234;1,5;2.5\n2,345;2,5;1.5\n", "params", "comma"),
        ("params;val_loss\n1.234;2,5\n2.345;1,5\n", "params", "point"),
    ],
)
def test_what_may_be_decimals_or_thousands_is_refused(tmp_path, body, column, sign):
    with pytest.raises(DataError, match=f"column {column}: the {sign} in '[12].234' may set off decimals or thousands") as caught:
        analysis.read_runs(write(tmp_path, body))
    assert "without thousands separators" in caught.value.hint


def test_thousands_in_quotes_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"row 1, column params: '1,234' is not a number") as caught:
        analysis.read_runs(write(tmp_path, 'params,val_loss\n"1,234",2.5\n"2,345",1.5\n'))
    assert "without thousands separators" in caught.value.hint


@pytest.mark.parametrize(
    ("above", "words", "cure"),
    [
        ("Exported from MyTool on 2026-01-01\n", "has 1 field, the lines below it have 3", "tail -n +2 runs.csv"),
        ("Exported from MyTool, v2\n\n", "has 2 fields, the lines below it have 3", "tail -n +3 runs.csv"),
        ("# made by x\n# on y\n", "has 1 field, the lines below it have 3", "tail -n +3 runs.csv"),
        ("Export,of,project\n", "line 2 .*has words where the lines below it have numbers", "delete line 1"),
        ("Export,of,project,x,y\n", "line 2 .*has words where the lines below it have numbers", "delete line 1"),
    ],
)
@pytest.mark.parametrize("separator", [",", ";"])
def test_lines_above_the_column_names(tmp_path, above, words, cure, separator):
    path = write(tmp_path, above.replace(",", separator) + text(separator))
    with pytest.raises(DataError, match=words) as caught:
        analysis.read_runs(path)
    assert cure in caught.value.hint
    lines = path.read_text().splitlines(keepends=True)
    skipped = int(cure.split("+")[1].split()[0]) - 1 if "tail" in cure else 1
    assert len(analysis.read_runs(write(tmp_path, "".join(lines[skipped:])))) == 3


def test_a_line_of_units_below_the_column_names(tmp_path):
    with pytest.raises(DataError, match=r"line 2 \(', hours, nats'\)") as caught:
        analysis.read_runs(write(tmp_path, text().replace("val_loss\n", "val_loss\n,hours,nats\n")))
    assert caught.value.hint.endswith("delete line 2")


@pytest.mark.parametrize(
    ("index", "ids"),
    [(["0", "1", "2"], ["row 1", "row 2", "row 3"]), (["run-a", "run-b", "run-c"], ["run-a", "run-b", "run-c"])],
)
def test_what_pandas_writes_before_the_first_column(tmp_path, index, ids):
    lines = [f"{name},{line}" for name, line in zip(["", *index], text().splitlines(), strict=True)]
    runs = analysis.read_runs(write(tmp_path, "\n".join(lines)))
    assert set(runs) == {"id", "model", "core_hours", "val_loss"}
    assert list(runs["id"]) == ids


def test_empty_fields_at_the_ends_of_lines_are_no_columns(tmp_path):
    assert len(analysis.read_runs(write(tmp_path, text().replace("\n", ",\n")))) == 3
    assert len(analysis.read_runs(write(tmp_path, "core_hours,val_loss\n1,2,\n3,4,,\n"))) == 2


def test_a_quote_that_does_not_end_swallows_no_rows(tmp_path):
    with pytest.raises(DataError, match="a quoted field does not end") as caught:
        analysis.read_runs(write(tmp_path, 'model,val_loss\n"m1,1\nm2,2\n'))
    assert caught.value.hint


def test_text_that_is_not_utf_8(tmp_path):
    with pytest.raises(DataError, match="not text in UTF-8") as caught:
        analysis.read_runs(write(tmp_path, "model;val_loss\ngröße;1,5\n", encoding="cp1252"))
    assert "CSV UTF-8" in caught.value.hint


def test_thousands_in_a_column_that_nobody_asks_for_stay_text(tmp_path):
    runs = analysis.read_runs(write(tmp_path, "tokens\tval_loss\n1,234\t2.5\n2,345\t1.5\n", "runs.tsv"))
    assert list(runs["val_loss"]) == [2.5, 1.5]
    assert list(runs["tokens"]) == ["1,234", "2,345"]
