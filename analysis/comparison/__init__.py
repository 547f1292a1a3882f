"""Is X better than Y at equal compute, or is that noise? And do they cross?

Every design estimates the same: the difference at equal compute, each side at its best cell. The winner is the side that is better at
the largest shared compute; averages come second. Which sizes, rates and seeds were tried must not decide: `edges`, `searches` and
`by_side` see to that.

| file | what it holds |
|---|---|
| `arms` | the two sides: their cells, and which runs count |
| `searches` | how many learning rates each side tried, and which of them count in a cell where the numbers differ |
| `coordinates` | what tells the cells of one compute apart, and which cells count where nothing does |
| `pairing` | cells of the two that share a budget, and whether they stand for both sides |
| `paired`, `joint` | the fits: to pairs, or to cells that do not line up |
| `shapes`, `read_off` | a common shape with a shift, and both sides read off it at equal compute |
| `edges` | the compute at which both sides' best lies inside the sizes that they tried |
| `twins`, `by_side` | noise that cells share though their budgets differ; noise of each side's own |
| `difference`, `crossing` | what a fit says of the difference, and where it is zero |
| `compare`, `result`, `sentence` | `compare(runs, by=…) -> Comparison`, and its answer in words |
| `pairwise`, `pairwise_sentence` | several sides in pairs, corrected for their number: `compare_sides(runs, by=…)`, and the verdict in words |
"""
