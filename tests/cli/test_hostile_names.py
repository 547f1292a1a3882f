"""Names that come from elsewhere are data: every command, over a store and a table full of what a terminal or Rich would obey."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import sqlite3
import sys
import threading
import unicodedata
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from analysis import read_runs
from orchestrator.experiments_file import read_spec
from orchestrator.planning.plan import make_plan
from scaling.cli.answers import Malformed, answer_in
from scaling.cli.app import app, main
from scaling.cli.output import console
from scaling.cli.printable import printable, printable_json
from scaling.cli.terminal import Terminal
from scaling.columns import SCHEMA_VERSION
from tests.api.small_grid import fill

ESC, BELL, CSI, RIGHT_TO_LEFT = "\x1b", "\x07", "\x9b", "\u202e"
MODELS = {
    "nano-F0": "net[small]",
    "nano-F1": "net[large]",
    "nano-F3": f"[/bold]:smile:{ESC}[31m{CSI}2J{RIGHT_TO_LEFT}\x00"[:-1],
}
REASON = f"cannot open [/data/img] [red]now[/red]\nfinished: all is well\r{ESC}]0;owned{BELL}{ESC}[2J"
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
FORMULA = '=HYPERLINK("http://x","y")'


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    fill(folder / "scaling.db")
    with sqlite3.connect(folder / "scaling.db") as base:
        for ours, theirs in MODELS.items():
            base.execute("UPDATE runs SET model = ? WHERE model = ?", (theirs, ours))
        base.execute("UPDATE runs SET reason = ? WHERE reason != ''", (REASON,))
        base.execute(
            "UPDATE attempts SET reason = ?, host = ?, directory = ?", (REASON, f"host[red]{ESC}[5m", str(folder / "[attempt]"))
        )
        base.execute("UPDATE runs SET dataset = ?, code_version = ?, val_top1 = 1.2345e-90", (FORMULA, f"v{ESC}[0m"))
        base.execute("UPDATE experiments SET name = ? WHERE name = 'digits'", (f"digits[/red]{ESC}[1m",))
    (folder / "[attempt]").mkdir()
    (folder / "[attempt]" / "log.txt").write_text(f"{ESC}[31mred{ESC}[0m\n 10%\r 20%\r\n{ESC}]0;owned{BELL}[/data/img]\n")
    table = pd.DataFrame(
        {
            "core_hours": [1.0, 2.0, 4.0, 8.0, 16.0] * 2,
            "val_loss": [2.0, 1.7, 1.45, 1.2, 1.05, 2.2, 1.9, 1.6, 1.4, 1.2],
            "family": ["[red]a[/red]"] * 5 + [f"{ESC}[31mb:smile:"] * 5,
            "model": [f"net[{size}]{ESC}[2J" for size in (1, 2, 3, 4, 5)] * 2,
            f"peak [lr]{ESC}[7m": [0.1] * 10,
            "parent": [None] * 10,
        }
    )
    table.to_csv(folder / f"[runs]{ESC}[31m.csv", index=False)
    (folder / "[grid].yaml").write_text(
        "name: tiny\ndataset: {name: digits}\nepochs: [1]\nbatch_size: 64\nlearning_rate: 1.6\n"
        'models: [{name: "net[small]\\e[31m", family: nfnet, width: [8, 16], depth: [1, 1], group_width: 8, stem: small}]\n'
    )
    (folder / "[bad].yaml").write_text('name: tiny\n"key[red]\\e[31m": 1\nepochs: "[/x]\\e[2J\\nerror: no"\n')
    config = make_plan(*read_spec(folder / "[grid].yaml")).runs[0].config.to_dict()
    with sqlite3.connect(folder / "scaling.db") as base:
        base.execute("UPDATE runs SET config = ?", (json.dumps(config),))
    return folder


@pytest.fixture
def run(folder, monkeypatch, capsys):
    """Runs a command in its process: exit code, stdout, stderr."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SCALING_DB", "scaling.db")

    def invoke(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["scaling", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return invoke


FILE = ["--data", f"[runs]{ESC}[31m.csv"]
POWER, FEW = ["--law", "power"], ["--bootstrap", "100"]
BAD_COLUMN = f"[red]column[/]{ESC}[31m"
COMMANDS: dict[str, list[list[str]]] = {
    "submit": [["[grid].yaml", "--dry-run"], ["[grid].yaml", "--dry-run", "--json"], ["[bad].yaml"], [f"none[/x]{ESC}[2J.yaml"]],
    "status": [[], ["--json"]],
    "runs": [[], ["--json"], ["--csv"], ["{failed}"], ["{failed}", "--json"], ["-s", f"[/x]{ESC}[2J"], ["-e", f"[/x]{ESC}[2J"]],
    "logs": [["{failed}"], [f"[/x]{ESC}[2J"]],
    "pause": [["{pending}"]],
    "resume": [["{paused}"]],
    "priority": [["3", "{pending}"]],
    "cancel": [["{pending}"]],
    "retry": [["{failed}"]],
    "exclude": [["{finished}", "--reason", REASON], ["{finished}", "--undo"]],
    "gc": [[]],
    "audit": [["{finished}"]],
    "fit": [FILE, [*FILE, *POWER, "--csv"], [*FILE, *POWER, "--json"], ["--metric", BAD_COLUMN], ["--law", f"[/x]{ESC}[2J"]],
    "frontier": [[*FEW], [*FILE, *FEW], [*FILE, *FEW, "--csv"], [*FILE, "--x", BAD_COLUMN], [*FILE, *FEW, "--optimum"]],
    "lr": [[], ["--searches"]],
    "compare": [["--by", "model", "--a", "net[small]", "--b", "net[large]"], FILE, [*FILE, "--csv"], [*FILE, "--json"], [*FILE, "--a", BAD_COLUMN]],
    "predict": [[*FILE, "--at", "100"], ["--at", "1", *POWER, *FEW, "--register", f"[/x]{ESC}[2J"], ["--score"], ["--at", BAD_COLUMN]],
    "plan": [[*FILE, "--budget", "9", "--target", "9", *POWER], ["[grid].yaml", "--budget", "1", "--target", "1", *POWER, "--csv"]],
    "transfer": [FILE, []],
    "report": [["-o", f"[x]{ESC}[2J.html", *FILE], ["-o", f"[/x]{ESC}[2J/a.html"]],
    "import": [[FILE[1], "--yes"], [FILE[1], "--yes", "--update", "--json"], [f"[/x]{ESC}[2J.csv"], [FILE[1], "-e", f"[/x]{ESC}"]],
    "export": [["out[red].csv"], [f"[/x]{ESC}[2J.csv"], [f"[/x]{ESC}[2J.xyz"]],
    "model": [["net[small]", "-o", "width=[8,16]", "-o", "depth=[1,1]", "-o", "group_width=8"], [f"[/x]{ESC}[2J"]],
    "probe": [["[bad].yaml"]],
    "dedup": [["[bad].yaml"], ["--a", f"[/x]{ESC}[2J"]],
    "init": [["table", FILE[1]], ["images", f"[/x]{ESC}[2J"], ["-o", "[bad].yaml"], ["-o", f"[/x]{ESC}[2J.yaml"], [f"[/x]{ESC}[2J"]],
    "docs": [[f"[/x]{ESC}[2J"], [f"refused#[/x]{ESC}[2J"]],
    "doctor": [["--home", f"[x]{ESC}[2J", "--db", f"[x]{ESC}[2J.db"]],
    "serve": [["--host", f"[/x]{ESC}[2J"]],
}  # fmt: skip
REFUSED: dict[str, set[int]] = {
    "submit": {2, 3}, "runs": {5, 6}, "logs": {1}, "fit": {3, 4}, "frontier": {3, 4}, "lr": {1}, "compare": {4}, "predict": {3}, "plan": {0},
    "transfer": {0, 1}, "report": {1}, "import": {2, 3}, "export": {1, 2}, "model": {1}, "probe": {0}, "dedup": {0, 1}, "init": {1, 2, 3, 4}, "docs": {0, 1}, "serve": {0},
}  # fmt: skip
"""Which calls of a command end with an error, by their place. The others do what they are asked; that of `audit` finds that nothing was recorded."""


def test_every_command_is_here():
    assert set(COMMANDS) == {command.name for command in app.registered_commands}


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_that_a_command_prints_steers_the_terminal(run, folder, command, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path / "own")
    monkeypatch.chdir(tmp_path / "own")
    with sqlite3.connect("scaling.db") as base:
        base.execute("UPDATE runs SET status = 'paused' WHERE id = (SELECT max(id) FROM runs WHERE status = 'finished')")
        ids = dict(base.execute("SELECT status, min(id) FROM runs GROUP BY status"))
    for place, arguments in enumerate(COMMANDS[command]):
        code, out, err = run(command, *(argument.format(**ids) if argument.startswith("{") else argument for argument in arguments))
        assert err.startswith("error: ") == (place in REFUSED.get(command, ())), (arguments, err)
        assert (code == 0) == (place not in REFUSED.get(command, ()) and command != "audit"), (arguments, code)
        assert not CONTROL.search(out), (arguments, CONTROL.search(out))
        assert not CONTROL.search(err), (arguments, CONTROL.search(err))
        assert "☺" not in out + err
        assert "😄" not in out + err


def test_names_are_printed_letter_for_letter(run):
    _, out, _ = run("runs")
    assert "net[small]" in out
    assert "net[large]" in out
    assert "[/bold]:smile:␛[31m�2J�" in out
    assert "cannot open [/data/img] [red]now[/red]" in out
    assert not [line for line in out.splitlines() if line.startswith("finished: all is well")]
    _, out, _ = run("status")
    assert "[/data/img]" in out
    assert "digits[/red]␛[1m" in " ".join(out.split())
    _, out, err = run("submit", "[bad].yaml")
    assert "unknown key 'key[red]\\x1b[31m'" in err
    assert "error: no" not in err.splitlines()
    assert (
        run("logs", "{}".format(json.loads(run("runs", "--json", "-s", "failed")[1])["runs"][0]["id"]))[1]
        == "red\n 10%\n 20%\n␛]0;owned␇[/data/img]\n"
    )


def test_what_a_server_answers_is_data(run):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps({"detail": REASON, "hint": f"[/x]{ESC}[2J"}).encode()
            self.send_response(400)
            self.send_header("Content-Type", "application/problem+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        code, out, err = run("status", "--server", f"http://127.0.0.1:{server.server_address[1]}")
        server.shutdown()
    assert (code, out) == (2, "")
    assert not CONTROL.search(err)
    assert err.splitlines()[0].startswith("error: cannot open [/data/img] [red]now[/red]␤finished: all is well")
    assert err.splitlines()[1] == "hint:  [/x]␛[2J"


@pytest.mark.parametrize("found", [5, {}, {"runs": 5}, {"runs": {"finished": "many"}}])
def test_what_a_server_says_of_fine_tuning_is_looked_at(found):
    known = {"name": "study", "simulated": False, "runs": {}, "spent_core_hours": 0.0, "saved": 0.0, "searches": None}
    unknown = dict.fromkeys(
        (
            "core_hours",
            "inherited_core_hours",
            "allocated_core_hours",
            "estimated_core_hours",
            "estimate_error",
            "budget_core_hours",
            "best_val_loss",
        )
    )
    answer = {"schema_version": SCHEMA_VERSION, "scheduler": None, "experiments": [known | unknown]}
    assert answer_in(json.dumps(answer).encode(), "/experiments") == answer, "a server of an earlier version does not say"
    answer["experiments"][0]["finetuning"] = found
    with pytest.raises(Malformed, match=r"experiments\.0\.finetuning"):
        answer_in(json.dumps(answer).encode(), "/experiments")


def test_progress_on_a_terminal_shows_names_as_they_are():
    screen = io.StringIO()
    shown = Terminal(file=screen, force_terminal=True, width=100, color_system=None)
    table = Table("model")
    table.add_row(f"net[small]:smile:{ESC}[2J")
    with Live(console=shown, refresh_per_second=1) as live:
        live.update(Group(Text(f"digits[/red]{ESC}[5m", style="bold"), table))
    assert "digits[/red]␛[5m" in screen.getvalue()
    assert "net[small]:smile:␛[2J" in screen.getvalue()
    assert f"{ESC}[5m" not in screen.getvalue()


def test_json_holds_the_names_as_they_are(run):
    runs = json.loads(run("runs", "--json")[1])["runs"]
    assert {row["model"] for row in runs} == set(MODELS.values())
    assert REASON in {row["reason"] for row in runs}


def test_tables_keep_to_80_columns(run):
    lines = run("runs", "-s", "diverged")[1].splitlines()
    assert "net[large]" in lines[2]
    assert max(map(len, lines[:3])) <= 80 + len("net[large]") - len("nano-F1")


def test_a_table_is_as_narrow_as_its_words_allow(capsys):
    table = Table("name", "what became of it", "reason", box=None, pad_edge=False)
    table.add_row(
        "a" * 20, "finished", "it was so very long a reason that no line of eighty letters could hold it together with the rest"
    )
    console().print(table)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    reason = next(line.index("reason") for line in lines if "reason" in line)
    assert " ".join(" ".join(line[reason:] for line in lines).split()).endswith("together with the rest")


def test_csv_holds_no_formulas_and_our_reader_undoes_it(run, folder, tmp_path):
    texts = [FORMULA, "+1+1", "-1", "@SUM(A1)", "'=quoted", "''=twice", "'plain'", "-", "\t=tab", "plain", "＝wide"]
    table = pd.DataFrame({"core_hours": range(1, len(texts) + 1), "val_loss": -1.5, "note": texts, "=head": texts})
    table.to_parquet(tmp_path / "theirs.parquet")
    for ending, separator in ((".csv", ","), (".tsv", "\t")):
        code, _, err = run("export", str(tmp_path / f"ours{ending}"), "--data", str(tmp_path / "theirs.parquet"))
        assert code == 0, err
        written = list(csv.reader(io.StringIO((tmp_path / f"ours{ending}").read_text()), delimiter=separator))
        assert not [cell for row in written for cell in row if re.match("[=+@\t\r＝]", cell) and not _is_number(cell)]
        assert not [cell for row in written for cell in row if cell.startswith("-") and not _is_number(cell)]
        again = read_runs(tmp_path / f"ours{ending}")
        assert list(again["note"]) == texts
        assert list(again["=head"]) == texts
        assert list(again["val_loss"]) == [-1.5] * len(texts)
    assert f"'{FORMULA}" in [row["dataset"] for row in csv.DictReader(io.StringIO(run("runs", "--csv")[1]))]
    shutil.rmtree(tmp_path)


def _is_number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True


def test_names_that_differ_by_what_cannot_be_seen_look_different():
    """Of all of Unicode: what is of category Cc, Cf or Cs, or default-ignorable. In JSON the value stays what it was."""
    hidden = [code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs")]
    hidden += [
        0x034F,
        0x115F,
        0x1160,
        0x17B4,
        0x17B5,
        0x180B,
        0x180F,
        0x2065,
        0x3164,
        0xFE00,
        0xFE0F,
        0xFFA0,
        0xFFF0,
        0xE0000,
        0xE01EF,
        0xE0FFF,
    ]
    for code in hidden:
        assert printable(f"net{chr(code)}") not in ("net", f"net{chr(code)}"), hex(code)
        assert json.loads(printable_json(json.dumps(chr(code), ensure_ascii=False))) == chr(code)
    assert printable("a\u200bb\u00adc\u2060d\U000e0041") == "a\\u200bb\\u00adc\\u2060d\\U000e0041"
    assert printable("naïve F0 – 日本 ∑ é") == "naïve F0 – 日本 ∑ é"


def test_styles_stay_on_their_letters_when_invisible_ones_are_shown():
    screen = io.StringIO()
    shown = Terminal(file=screen, force_terminal=True, width=100, color_system="standard")
    shown.print(Text.assemble("n\u200b", ("bold", "bold"), f"\u2060{ESC}"))
    assert screen.getvalue() == "n\\u200b\x1b[1mbold\x1b[0m\\u2060␛\n"
    table = Table("model")
    table.add_row("net\u200b")
    screen.truncate(0)
    shown.print(table)
    assert "net\\u200b" in screen.getvalue()
