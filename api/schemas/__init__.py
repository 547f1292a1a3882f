"""What the HTTP API answers, as openapi.json describes it: one file a subject.

An answer is made by the `to_dict` of a result or by a query, and leaves as it is: nothing is validated or copied while a client waits.
`tests/api/test_schemas.py` holds real answers of every route against these models. A model is closed: a field that it does not name is a
fault there. Open are only rows whose columns depend on the table, and they say so.

To add a field, add it where the answer is made and here; the test fails for either alone.
"""

from __future__ import annotations

from api.schemas.part import Answer

__all__ = ["Answer"]
