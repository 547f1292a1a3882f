"""The scripts of docs/programs.md with PyTorch, Lightning and Hugging Face, which are no dependency of scaling.

    python -m benchmarks.programs --environment /tmp/torch      # makes that virtual environment if it is missing (6 GB), runs all, minutes
    python -m benchmarks.programs --table                       # what the last time came to, from benchmarks/programs.json

| part | what it holds |
|---|---|
| `page` | the snippets of the page, by their heading |
| `scripts` | the snippets as whole programs |
| `place` | a folder with a script, its file and its store; commands, strikes, rows; what each script trains on |
| `table` | the results as tables |

That of torchrun trains one run by two processes. Each script is run by hand without SCALING_EVENTS, then by `scaling submit`, then again with SIGKILL for the program, its leash or its trainer process.
The losses have to be equal. Of PyTorch it is a study of 3 sizes and 4 budgets, with a law at the end.
"""
