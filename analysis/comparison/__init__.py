"""Is X better than Y at equal compute, or is that noise? And do they cross?

Every design estimates the same: the difference at equal compute, each side at its best cell. The winner is the side that is better at the
largest shared compute; averages come second.

| file | what it holds |
|---|---|
| `arms` | the two sides: their cells, and which runs count |
| `coordinates` | what tells the cells of one compute apart, and which cells count where nothing does |
| `pairing` | cells of the two that share a budget, and whether they stand for both sides |
| `paired`, `joint` | the fits: to pairs, or to cells that do not line up |
| `shapes`, `read_off` | a common shape with a shift, and both sides read off it at equal compute |
| `twins` | noise that cells share though their budgets differ |
| `difference`, `crossing` | what a fit says of the difference, and where it is zero |
| `compare`, `result`, `sentence` | `compare(runs, by=…) -> Comparison`, and its answer in words |
"""
