"""What can be asked of a table of runs: each parameter of each question, told once.

A question is a frozen dataclass. A field has its type, its default and an `Asked`: what it means, how a form asks for it, what it may
be. Command line, pages and HTTP API are made from that: `scaling.cli.runs_input` makes options, `api.asking` query parameters, the
macro `form` fields. The package loads nothing, so that `scaling --help` may import it.

| file | what it holds |
|---|---|
| `question` | `Question`, and the `Asked` and `Parameter` that its fields are made of |
| `parameters` | parameters that several questions have |
| `cells` | the frontier, and fits of laws to its cells |
| `laws` | laws side by side, one closely, one as `/frontier` draws it |
| `forecasts` | a prediction, what to expect at a compute, what halves its interval, the next runs |
| `optimum`, `compare`, `learning_rate`, `transfer`, `report` | one question each |
"""

from analysis.questions.cells import (
    AnalysisQuestion,
    BesideQuestion,
    ClusteredQuestion,
    DrawnQuestion,
    FitsQuestion,
    FrontierQuestion,
)
from analysis.questions.compare import CompareQuestion
from analysis.questions.forecasts import HalvingQuestion, OutlookQuestion, PlanQuestion, PredictQuestion
from analysis.questions.laws import LawsQuestion, TrustQuestion, ViewQuestion
from analysis.questions.learning_rate import LearningRateQuestion
from analysis.questions.optimum import OptimumQuestion
from analysis.questions.parameters import CHOSEN, LEVELS
from analysis.questions.question import WHICH_RUNS, Asked, Parameter, Question
from analysis.questions.report import ReportQuestion
from analysis.questions.transfer import TransferQuestion

__all__ = [
    "CHOSEN",
    "LEVELS",
    "WHICH_RUNS",
    "AnalysisQuestion",
    "Asked",
    "BesideQuestion",
    "ClusteredQuestion",
    "CompareQuestion",
    "DrawnQuestion",
    "FitsQuestion",
    "FrontierQuestion",
    "HalvingQuestion",
    "LawsQuestion",
    "LearningRateQuestion",
    "OptimumQuestion",
    "OutlookQuestion",
    "Parameter",
    "PlanQuestion",
    "PredictQuestion",
    "Question",
    "ReportQuestion",
    "TransferQuestion",
    "TrustQuestion",
    "ViewQuestion",
]
