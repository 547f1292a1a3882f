"""The report: all that a table of runs says, in one HTML file that loads nothing from anywhere.

| file | what it holds |
|---|---|
| `study` | `study_of(runs) -> Study`: the numbers, and for each part that these runs do not allow the reason |
| `commands` | the commands that print the same numbers |
| `document` | `report_html(study)`: the document; `write_report(runs, file)`: the file |
| `templates/` | its text and its style |
"""
