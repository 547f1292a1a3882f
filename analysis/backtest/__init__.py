"""How far the laws can be trusted beyond the runs they were fitted to: fit small, forecast large, compare.

| file | what it holds |
|---|---|
| `windows` | which runs a window of the back-test sees, and which it forecasts |
| `rule` | how scores turn into weights of laws: fixed, the same for every data set |
| `backtest` | `backtest`: laws and runs → `Backtest`, with what was held out, scores and weights |
| `forecast_error` | how the error of forecasts grows with their distance |
| `recent` | the forecast of the recent runs of one input |
| `learnt` | its numbers, from `learnt.json`, which `benchmarks/forecast.py` makes |
| `forecast` | the estimate that is the laws' among the runs and the recent forecast beyond |
| `beyond` | estimates that carry that error: one law, or an average |
"""
