"""Pages and JSON over the store: what was run, what it says, what it cost.

| file | what it holds |
|---|---|
| `app` | `create_app`: everything below put together |
| `v1/` | the JSON API of the store, one file a resource |
| `pages/`, `templates/`, `static/` | the pages, a file with its template each; a `Page` of the analysis declares its JSON and CSV too |
| `asking` | how a link asks a question of `analysis.questions`: the query parameters, and the command that answers the same |
| `studies` | the answers that several pages share: frontier, laws, optimum of a question |
| `answers`, `answered`, `worker`, `inward` | the last answer at once, while one computation for all clients makes the next in a process of its own |
| `watcher`, `v1/events` | one look at the store for all clients of the event stream |
| `apart`, `serving` | figures of large pages by their own address; the server process |
| `database` | the store as the pages see it: it may appear, change or go away while the server runs |
| `problems` | one shape for every error, as JSON and as a page |
| `rendering`, `tables`, `json_answer`, `paging`, `run_version` | HTML from templates, CSV, JSON, keyset pages, increments |
| `schemas/`, `description` | what each answer looks like, for openapi.json and its clients |
| `conditional`, `security`, `assets` | ETag and 304, headers, files for the browser |
| `health`, `metrics` | probes, and numbers for Prometheus |
| `guard`, `token` | who may change runs: the token, the login of a browser, requests of other sites |
| `hosts`, `nul`, `head`, `unfinished` | for which names it answers, the character NUL, HEAD, requests that are never finished |

It reads `orchestrator.store` and `analysis`. It never starts work, and changes runs only as `scaling pause` and its like do, so neither Ray nor JAX is loaded.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
