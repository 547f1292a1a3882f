"""Parameters that several questions have."""

from __future__ import annotations

from typing import Annotated, Literal

from analysis.questions.question import Asked

CHOSEN = "chosen"
"""Stands for the law that forecasts best, see `analysis.choose_law`."""

LEVELS = (0.5, 0.999)
"""The least and the largest nominal coverage of an interval.

Below, an interval says less than the value alone; above, it depends on a tail that few runs show."""

METRIC = "A column that is better when lower; NAME_error is 1 − NAME of a share; finetune_NAME is of fine-tuned runs."
SURFACE = "Or one for each input of a surface: params,examples_seen."
PARENTS = "of the parent run; with --data, a column of the table."
X = "The column of compute: core_hours, train_flops (or flops), examples_seen, cost …"
Level = Annotated[float, Asked("Nominal coverage of the intervals.", more="0.5 … 0.999.", least=LEVELS[0], most=LEVELS[1])]
Objective = Annotated[str, Asked("log: least squares of relative errors.", more="huber-log (robust to outliers), relative or mse.")]
Reference = Annotated[
    Literal["published", "digitised", "all"] | None,
    Asked(
        "Results of others beside the frontier; they enter no fit.",
        "Beside it",
        any="no one else's",
        offered=(("published", "published results"), ("digitised", "the NFNet study's figure 1"), ("all", "both")),
        is_option=False,
    ),
]
Pin = Annotated[
    tuple[str, ...],
    Asked("Hold a coefficient of the named law at a number: E=1.69; repeatable, or with commas between.", shape="LETTER=NUMBER"),
]
Tie = Annotated[
    tuple[str, ...],
    Asked("Let coefficients of the named law share one number: alpha=beta; repeatable.", shape="LETTER=LETTER"),
]
FittedTo = Annotated[
    Literal["frontier", "all"] | None,
    Asked(
        "What a law is fitted to; when left out the frontier of a grid (sizes × epochs), else all cells.",
        "Fitted to",
        offered=(("frontier", "the frontier"), ("all", "all cells")),
    ),
]
