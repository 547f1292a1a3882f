"""What every error looks like: RFC 9457."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.schemas.part import Part

__all__ = ["Fault", "Problem"]


class Fault(Part):
    """Names a place in the request, and what is wrong there."""

    where: str
    message: str


class Problem(Part):
    """Says what went wrong, and what to do."""

    type: Annotated[str, Field(json_schema_extra={"format": "uri"})]
    title: str
    status: int
    detail: Annotated[str, Field(description="One line of fault.")]
    code: Annotated[str, Field(description="Stable name of the kind of problem.")]
    hint: Annotated[str, Field(description="One line of what to do.")]
    errors: Annotated[list[Fault], Field(description="Each fault, when there are several.")]
    have: Annotated[int, Field(description="Of too few points: how many there are.")] = 0
    need: Annotated[int, Field(description="Of too few points: how many are needed.")] = 0
    why: Annotated[str, Field(description="Section of `scaling docs refused` that explains a refusal.")] = ""
