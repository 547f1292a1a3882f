"""Turns an experiments file into runs with a price, before anything is run.

| file | what it holds |
|---|---|
| `plan` | the runs of a file, with ids and what the file itself says of their cost |
| `trunk` | which run starts from which other one's checkpoint |
| `priced` | the plan with measured speeds, and with what the store has done of it |
| `accept` | writes the plan's runs into the store as wanted |
| `shipped` | the copy of a program's folder, for other nodes |
| `dry_run` | what `submit` would do and refuse |
| `probe` | a few real steps of each model shape |
| `candidates` | what to run next |
"""
