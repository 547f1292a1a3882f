"""A result of others, with the compute that was published and what that is worth on the accelerator of the runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from scaling.accelerators import HourConversion

__all__ = ["ReferencePoint"]


@dataclass(frozen=True)
class ReferencePoint:
    """Holds one result.

    series: `published`, `digitised` or the name of a user's file. value: of the metric; of top-1 error a share.
    stated: the compute as its source has it, in core-hours on `accelerator`, FLOPs or whatever x is; None where it has none.
    is_bound: whether the source says "more than" that.
    factor: so many core-hours on `accelerator` do what one does on `factor_to`, according to `factor_source`; None where nothing is converted.
    source: where the result comes from.
    """

    name: str
    series: str
    value: float
    stated: float | None
    accelerator: str = ""
    is_bound: bool = False
    factor: float | None = None
    factor_to: str = ""
    factor_source: str = ""
    source: str = ""

    @property
    def at(self) -> float | None:
        """Return where the point stands: its compute, converted."""
        return self.stated if self.stated is None or self.factor is None else self.stated / self.factor

    @property
    def counts_as(self) -> str:
        """Return the accelerator of `at`; empty where it is not known."""
        return self.accelerator if self.factor is None else self.factor_to

    def converted(self, entry: HourConversion) -> ReferencePoint:
        """Convert the point further, or instead of as its row says where the conversion is of the accelerator that it was published for."""
        if entry.theirs == self.accelerator:
            return replace(self, factor=entry.factor, factor_to=entry.ours, factor_source=entry.source)
        factor = entry.factor * (self.factor or 1.0)
        source = "; ".join(filter(None, (self.factor_source, f"then {entry.factor:g}, {entry.source}")))
        return replace(self, factor=factor, factor_to=entry.ours, factor_source=source)

    def as_stated(self) -> ReferencePoint:
        """Return the point without the conversion that its row names."""
        return replace(self, factor=None, factor_to="", factor_source="")

    def to_dict(self, metric: str, x: str) -> dict[str, object]:
        """Return the point as JSON and CSV hold it: `metric`, `x` (converted) and `stated_<x>` (as published) under their own names."""
        rest = {name: value for name, value in asdict(self).items() if name not in ("name", "series", "value", "stated")}
        return {"name": self.name, "series": self.series, metric: self.value, x: self.at, f"stated_{x}": self.stated, **rest}
