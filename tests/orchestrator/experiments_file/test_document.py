"""YAML as strangers write it: what it may hold, and that all else is one line with its place, within seconds and without a traceback."""

import time
from pathlib import Path

import pytest
import yaml

from orchestrator.experiments_file import read_spec
from orchestrator.experiments_file.values import MAX_VALUES, values_of
from orchestrator.planning.plan import make_plan
from scaling.errors import SpecError

ROOT = Path(__file__).parents[3]
GOOD = """\
name: tiny
dataset: {name: digits}
models: [nano-F0]
epochs: [1]
batch_size: 64
learning_rate: 1.6
"""
MERGES = """\
- &CENTER { x: 1, y: 2 }
- &LEFT { x: 0, y: 2 }
- &BIG { r: 10 }
- &SMALL { r: 1 }

# All the following maps are equal:

- # Explicit keys
  x: 1
  y: 2
  r: 10
  label: center/big

- # Merge one map
  << : *CENTER
  r: 10
  label: center/big

- # Merge multiple maps
  << : [ *CENTER, *BIG ]
  label: center/big

- # Override
  << : [ *BIG, *LEFT, *SMALL ]
  x: 1
  label: center/big
"""
"""The example of https://yaml.org/type/merge.html, "Merge Key Language-Independent Type for YAML Version 1.1"."""


@pytest.fixture
def read(tmp_path):
    def write_and_read(text):
        path = tmp_path / "grid.yaml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        return read_spec(path)

    return write_and_read


@pytest.fixture
def fault(read):
    def of(text):
        with pytest.raises(SpecError) as caught:
            read(text)
        assert caught.value.exit_code == 2
        (only,) = str(caught.value).splitlines()
        return only.split("grid.yaml:")[1]

    return of


def test_the_merge_keys_of_yaml_org_mean_what_they_say_there():
    *sources, explicit, one, several, overridden = values_of(MERGES).content
    assert explicit == one == several == overridden == {"x": 1, "y": 2, "r": 10, "label": "center/big"}
    assert [sources[0], sources[3]] == [{"x": 1, "y": 2}, {"r": 1}]


FILES = [*ROOT.glob("experiments*.yaml"), *ROOT.glob("experiments/*.yaml"), *ROOT.glob("deploy/*.y*ml"), *ROOT.glob("docker-*.yml")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_files_read_as_pyyaml_reads_them(path):
    for text in path.read_text().split("\n---\n"):
        read = values_of(text)
        assert not read.faults
        assert read.content == _numbers(yaml.safe_load(text))


def _numbers(value):
    """As a file of experiments spells them: `1e-3` is a number."""
    if isinstance(value, dict):
        return {key: _numbers(found) for key, found in value.items()}
    if isinstance(value, list):
        return [_numbers(found) for found in value]
    if isinstance(value, str) and value[:1].isdigit() and "e" in value:
        try:
            return float(value)
        except ValueError:
            return value
    return value


def test_anchors_of_x_keys_serve_the_whole_file(read):
    file = f"""\
x-gentle: &gentle {{momentum: 0.8, weight_decay: 1e-4}}
x-models:
- &small {{family: nfnet, width: [8, 16], depth: [1, 1], group_width: 8, stem: small}}
{GOOD.replace("[nano-F0]", "[{<<: *small, name: a}, {name: b, <<: *small, width: [16, 32]}]")}
optimizer: {{<<: *gentle, momentum: 0.9}}
"""
    plan = make_plan(*read(file))
    assert (plan.spec.optimizer.momentum, plan.spec.optimizer.weight_decay) == (0.9, 1e-4)
    assert [run.config.model.options["width"] for run in plan.runs] == [[8, 16], [16, 32]]
    written_out = GOOD.replace(
        "[nano-F0]", "[{name: a, family: nfnet, width: [8, 16], depth: [1, 1], group_width: 8, stem: small}]"
    )
    alone = make_plan(*read(f"{written_out}optimizer: {{momentum: 0.9, weight_decay: 1e-4}}\n"))
    assert plan.runs[0].id == alone.runs[0].id


def test_a_fault_in_what_is_merged_is_told_where_it_is_written(fault):
    assert fault(f"x-o: &o\n  momentun: 0.8\n{GOOD}optimizer: {{<<: *o}}\n").startswith("2: optimizer.momentun: unknown key")
    assert fault(f"{GOOD}y-o: 1\n").startswith("7: y-o: unknown key 'y-o'")
    assert fault(f"{GOOD}optimizer: {{x-o: 1}}\n").startswith("7: optimizer.x-o: unknown key 'x-o'")


@pytest.mark.parametrize(
    ("line", "place", "said"),
    [
        ("ema: !!python/object/apply:os.system [id]", "7: ema", "the tag !!python/object/apply:os.system means nothing here"),
        ("seeds: !!python/tuple [0, 1]", "7: seeds", "the tag !!python/tuple"),
        ("ema: !mine 0.9", "7: ema", "the tag !mine"),
        ("ema: !!binary aGk=", "7: ema", "the tag !!binary"),
        ("ema: !!map abc", "7: ema", "the tag !!map"),
        ("ema: !!int abc", "7: ema", "'abc' is not a whole number, as its tag says"),
        ("ema: !!float ''", "7: ema", "'' is not a number"),
        ("ema: !!bool abc", "7: ema", "'abc' is not true or false"),
        ("ema: !!timestamp abc", "7: ema", "reads abc as a date"),
        ("ema: 2024-99-99", "7: ema", "reads 2024-99-99 as a date"),
        ("2024-01-01: 1", "7", "reads 2024-01-01 as a date"),
        (f"seeds: [{'9' * 5000}]", "7: seeds[0]", "a number of 5,000 characters"),
        (f"seeds: [0x{'f' * 5000}]", "7: seeds[0]", "a number of 5,002 characters"),
        (f"seeds: [{':'.join(['59'] * 3000)}]", "7: seeds[0]", "a number of 8,999 characters"),
        ("x-a: &a [*a]", "7: x-a[0]", "this alias stands for what it is in"),
        ("augment: &a {b: {c: *a}}", "7: augment.b.c", "this alias stands for what it is in"),
        ("augment: &a {<<: *a}", "7: augment", "this alias stands for what it is in"),
        ("optimizer: {<<: 3}", "7: optimizer", "`<<` merges mappings"),
        ("x-a: &a {b: 1}\noptimizer: {<<: *a, <<: *a}", "8: optimizer", "`<<` is given twice"),
        (f"seeds: {'[' * 900}{']' * 900}", "7", "more than 64 lists and mappings in one another"),
        (f"seeds: {'[' * 50_000}", "7", "more than 64 lists and mappings in one another"),
        (f"augment: {'{a: ' * 900}1{'}' * 900}", "7", "more than 64 lists"),
        ("? [1, 2]\n: 3", "7", "a list cannot be a key"),
        ("augment: {{a: b}: 3}", "7: augment", "a mapping cannot be a key"),
        ("!!seq {}: 3", "7", "a mapping cannot be a key"),
        ("=: 3", "7: =", "unknown key '='"),
        ("~: 3", "7: None", "a key is a text; YAML reads ~ as nothing"),
        ("1: 3", "7: 1", "a key is a text; YAML reads 1 as the number 1"),
        ("ema: *nobody", "7", "not YAML: found undefined alias 'nobody'"),
        ('ema: "\\UFFFFFFFF"', "7", "not YAML: "),
        ('ema: "\\ud800"', "7: ema", "half a character"),
        ('ema: "a\\0b"', "7: ema", "half a character or a NUL"),
        ("ema: \x00", "7", "not YAML: the character '\\x00' is not allowed"),
        ("epochs: [1e300]", "7", "key 'epochs' is given twice"),
        ("ema: [" + "x" * 5000 + "]", "7: ema", "input should be a valid number"),
        ("numerics: {dtype: no}", "7: numerics.dtype", 'YAML reads no as false; a text is in quotes: "no"'),
        ("execution: {micro_batch: 99999999999999999999}", "7: execution.micro_batch", "less than or equal to 9007199254740992"),
    ],
)
def test_what_yaml_allows_and_a_study_does_not_is_one_line_with_its_place(fault, line, place, said):
    found = fault(f"{GOOD}{line}\n")
    assert found.startswith(f"{place}: ")
    assert said in found
    assert len(found) < 400


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("tiny", "no", '1: name: False: input should be a valid string (YAML reads no as false; a text is in quotes: "no")'),
        (
            "tiny",
            "2024",
            '1: name: 2024: input should be a valid string (YAML reads 2024 as the number 2024; a text is in quotes: "2024")',
        ),
        ("tiny", "1:30", "YAML reads 1:30 as the number 90"),
        (
            "[nano-F0]",
            "[off]",
            "3: models[0]: False: input should be a valid dictionary or instance of ModelField (YAML reads off as false",
        ),
        ("1.6", "{yes: 1.6}", '6: learning_rate.True: a key is a text; YAML reads yes as true; a text is in quotes: "yes"'),
        ("[1]", "[1e300]", "4: epochs[0]: 1e+300 epochs of 1347 examples are more than"),
        ("64", "1e300", "5: batch_size: "),
    ],
)
def test_a_word_that_yaml_takes_for_something_else_is_told_as_such(fault, old, new, said):
    assert said in fault(GOOD.replace(old, new, 1))


def test_words_in_quotes_are_texts(read):
    assert read(GOOD.replace("tiny", '"no"'))[0].name == "no"
    assert read(GOOD.replace("tiny", "!!str no"))[0].name == "no"
    assert read(GOOD.replace("tiny", "'2024-09-09'"))[0].name == "2024-09-09"


BOMB = "x-0: &a0 [1,1,1,1,1,1,1,1,1,1]\n" + "".join(f"x-{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
MERGE_BOMB = "x-0: &a0 {k: 1}\n" + "".join(f"x-{n}: &a{n} {{<<: [{','.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 9))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB + GOOD, f"more than {MAX_VALUES:,} keys and values, aliases written out"),
        (MERGE_BOMB + GOOD, f"more than {MAX_VALUES:,} keys and values, aliases written out"),
        (GOOD + "".join(f"k{n}: 1\n" for n in range(200_000)), "2,000,000 characters"),
        (GOOD + "".join(f"{n}:\n" for n in range(200_000)), f"more than {MAX_VALUES:,} keys and values"),
        ("".join(f"x-{n}: &a{n} [{f'*a{n - 1}' if n else 1}]\n" for n in range(1500)) + GOOD, "more than 64 lists"),
    ],
    ids=["aliases", "merges", "characters", "keys", "chain"],
)
def test_what_grows_without_bound_ends_in_seconds_with_the_limit(fault, text, said):
    started = time.process_time()
    assert said in fault(text)
    assert time.process_time() - started < 10


def test_of_thousands_of_faults_the_first_are_told(read):
    with pytest.raises(SpecError) as caught:
        read(GOOD + "".join(f"k{n}: 1\n" for n in range(5_000)))
    first, *_, last = str(caught.value).splitlines()
    assert "7: k0: unknown key" in first
    assert "4,950 more faults" in last
    assert len(caught.value.faults) == 51


@pytest.mark.parametrize("text", ["12", "1e3", "4e9", "no", "~", "2024-01-01", "1:30", ".inf", "=", "<<"])
def test_what_its_tag_calls_a_text_is_one(text):
    """As quotes do. Keys too."""
    for written in (f"!!str {text}", f"!<tag:yaml.org,2002:str> {text}", f"'{text}'"):
        found = values_of(f"name: {written}\n{written}: 1\n")
        assert found.faults == []
        assert found.content == {"name": text, text: 1}
    assert values_of("epochs: [12, 4e9, !!int 12, !!float 1]").content == {"epochs": [12, 4_000_000_000, 12, 1.0]}
