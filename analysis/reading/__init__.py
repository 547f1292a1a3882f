"""Reading tables of runs that were trained elsewhere, whatever wrote them, into the names and units of `scaling.columns`.

A new file format is a function that reads a path, and its ending in `formats.READERS`. `tests/test_analysis_docs.py` then asks for the
ending in `docs/reading.md`.

| file | what it holds |
|---|---|
| `runs` | `read_runs`: path, mapping and units → table of runs |
| `formats` | JSON, JSON lines, Parquet, and which reader an ending has |
| `bundle` | what `scaling export --bundle` writes |
| `imported` | runs of a store that came from files: what is known of the files |
| `nested` | objects of JSON as rows, every key once |
| `delimited`, `decimals` | CSV and TSV: separator, column names, decimal commas |
| `first_line` | refuses a first line that does not name the columns |
| `typed` | what a cell is: a number, a word, NaN or nothing |
| `wandb`, `wandb_log` | exports of Weights & Biases, folders of its runs, and the log a run writes offline |
| `chart` | refuses the export of a chart, which is no table of runs |
| `history`, `diverged` | many rows a run → its last values; a run whose loss ended as NaN |
| `mlflow` | the file store `mlruns`, the database `mlflow.db`, and the table of `mlflow.search_runs` |
| `numbers_in`, `durations` | text and durations → numbers, with the unit a cell may carry |
| `our_units` | those numbers in our units |
| `headers` | the unit that a column's name in the file gives |
| `units`, `unit_expression` | what `--unit core_hours=seconds*8` means, and `FLOP/(6*params)` |
| `column_kinds`, `configuration` | which columns are results, settings or bookkeeping, by name and values |
| `guess` | a first mapping and first units for a table, by the names of its columns |
| `statuses` | others' words for the end of a run → our statuses |
| `accelerator_hours` | core-hours of one accelerator as those of another, by a factor that was named |
| `prices` | the column `cost`: core-hours at prices that were named |
| `choice` | chooses rows by the value of a column |
| `source` | where a table came from and what was done to it, carried along for the answer |
| `yaml_file` | YAML files that W&B and MLflow write |
"""
