"""The question about the best size and epochs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from analysis.questions.cells import FrontierQuestion
from analysis.questions.parameters import Level, Pin, Tie
from analysis.questions.question import Asked


@dataclass(frozen=True)
class OptimumQuestion(FrontierQuestion):
    """Asks for the best size and epochs of a family."""

    COMMAND: ClassVar[tuple[str, ...]] = ("frontier", "--optimum")
    FORM: ClassVar[tuple[str, ...]] = ("experiment", "family", "metric", "x", "serve", "finetune", "target_loss", "budget")

    family: Annotated[str | None, Asked("Only this model family; needed where there are several.", "Family", any="all")] = None
    law: Annotated[
        str | None,
        Asked("The surface; when left out chinchilla or data-constrained, whichever forecasts better.", more="With --optimum."),
    ] = None
    pin: Pin = ()
    tie: Tie = ()
    level: Level = 0.95
    serve: Annotated[
        float,
        Asked("Examples that the model will be asked about in its life: the size that costs least in all.", "Serve", least=0),
    ] = 0.0
    finetune: Annotated[
        float, Asked("Examples that it will be fine-tuned on, over all releases; counted with --serve.", "Fine-tune on", least=0)
    ] = 0.0
    target_loss: Annotated[
        float | None,
        Asked(
            "The metric that it has to reach; when left out, what compute-optimal training reaches at the largest compute.",
            "Wanted {metric}",
            above=0,
        ),
    ] = None
    budget: Annotated[
        float | None,
        Asked("Or what training, fine-tuning and serving may take together, in the unit of `x`.", "or in all ({x})", above=0),
    ] = None
    serve_share: Annotated[
        float, Asked("What serving an example costs, as a share of training on it: 2 of 6 FLOP a parameter.", above=0)
    ] = 1 / 3
