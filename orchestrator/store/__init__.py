"""What was run, on what, for how long, with what result: SQLAlchemy models, migrations, transactions and queries.

| file | what it holds |
|---|---|
| `models` | the nouns as tables |
| `engine`, `schema`, `migrations/` | opening, upgrading, refusing a database |
| `store` | `Store`: the doors to write and to read |
| `grid` | accept an experiment: which runs it wants, which are new |
| `searches` | cells whose learning rates are searched for, and how far they are |
| `ledger` | allocations and attempts: begin, progress, end + charge + requeue in one transaction |
| `lease` | one scheduler at a time |
| `identity` | the store's id, under which its attempts' folders lie |
| `laws` | fits that were shown, with their provenance |
| `predictions` | predictions registered before their run; added and read, never changed |
| `queries`, `payloads` | what commands and pages read; the JSON they return |

Knows neither Ray nor the trainer.
"""

from orchestrator.store.engine import DEFAULT_URL
from orchestrator.store.store import Store

__all__ = ["DEFAULT_URL", "Store", "open_readonly"]


def open_readonly(url: str = DEFAULT_URL) -> Store:
    """`Store.open_readonly`, for commands and pages."""
    return Store.open_readonly(url)
