"""An optimiser of a user's own, by import path: `optimizer: {name: "optax:lion", b1: 0.95}`, or one of their own module's."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from scaling.errors import UnknownName, UsageError
from trainer.optimizers.protocol import Optimizer, OptimizerConfig
from trainer.users_code import imported, told

if TYPE_CHECKING:
    from trainer.optimizers.masks import Masks

__all__ = ["UsersOptimizer"]


@dataclass(frozen=True)
class UsersOptimizer(OptimizerConfig):
    """Holds the options of what `source`, `package.module:function`, makes: a `GradientTransformation` of Optax.

    Where the function takes `learning_rate`, it is given 1, and the sign of its updates is turned, as all of Optax's own have it. Else what it makes
    gives the direction, `params ← params − learning_rate · direction`. A `mask` that it takes is that of weight decay.
    """

    starts_at_zero: ClassVar[bool] = False
    source: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        from trainer.optimizers.masks import Masks

        self.build(Masks())

    def build(self, masks: Masks) -> Optimizer:
        import optax

        function = imported(self.source, "optimizer")
        try:
            takes = [*inspect.signature(function).parameters]
        except (TypeError, ValueError) as error:
            raise UsageError(f"optimizer {self.source!r} is no function: {error}", hint="write package.module:function") from error
        given = {"learning_rate": 1.0, "mask": masks.of_decay}
        for name in self.options:
            if name not in takes or name == "learning_rate":
                raise UnknownName(f"option of {self.source}", name, [known for known in takes if known not in given])
        filled = {name: value for name, value in given.items() if name in takes}
        try:
            made = function(**filled, **self.options)
        except (Exception, SystemExit) as error:
            raise UsageError(f"optimizer {self.source!r} raised {told(error, self.source)}") from error
        if not (hasattr(made, "init") and hasattr(made, "update")):
            raise UsageError(
                f"optimizer {self.source!r} gave a {type(made).__name__}", hint="let it return an optax.GradientTransformation"
            )
        return optax.chain(made, optax.scale(-1.0)) if "learning_rate" in takes else made

    def _written(self) -> dict[str, Any]:
        return {"name": self.source, **self.options}

    def _neutral(self) -> dict[str, Any]:
        return {}
