"""How far the laws can be trusted beyond the runs they were fitted to: fit small, forecast large, compare.

| file | what it holds |
|---|---|
| `windows` | which runs a window of the back-test sees, and which it forecasts |
| `rule` | how scores turn into weights of laws: fixed, the same for every data set |
| `backtest` | `backtest`: laws and runs → `Backtest`, with what was held out, scores and weights |
| `forecast_error` | how the error of forecasts grows with their distance |
| `beyond` | estimates that carry that error: one law, or an average |
"""
