"""What is wrong with a fit, or with the runs behind it, as codes with a sentence each. Nothing is dropped: only said.

| file | what it looks for |
|---|---|
| `diagnostic` | the codes with their advice, and `Diagnostic` |
| `diagnose` | `diagnose`: all of the below for one fit |
| `design` | too few sizes, few cells, collinear inputs |
| `mixture` | a column that explains the scatter between what was averaged as seeds |
| `chance` | runs whose loss is no better than guessing |
| `identification` | exponent or floor that the runs do not determine |
| `optimum` | cells whose best learning rate, or best model, is at the edge of what was tried |
| `residuals` | a trend, unequal scatter, single runs far off |
| `influence` | single cells that carry the forecast |
| `extrapolation` | predictions far beyond the runs |
"""

from __future__ import annotations

from analysis.diagnostics.chance import at_chance
from analysis.diagnostics.diagnose import diagnose
from analysis.diagnostics.diagnostic import Diagnostic, DiagnosticCode
from analysis.diagnostics.extrapolation import apart_at, far_extrapolation, laws_disagree_at

__all__ = ["Diagnostic", "DiagnosticCode", "apart_at", "at_chance", "diagnose", "far_extrapolation", "laws_disagree_at"]
