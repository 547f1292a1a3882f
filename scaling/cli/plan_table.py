"""The plan as a table: a row a cell, with parameters, steps, FLOPs, and what it is estimated to take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scaling.rounding import amount, money, significant

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from orchestrator.planning.plan import Plan
    from orchestrator.planning.priced import Priced

__all__ = ["show", "show_findings"]


def show(priced: Priced, out: Console) -> None:
    """Print the plan, with what the whole grid comes to and on what the estimate rests."""
    plan, is_priced = priced.plan, priced.cost(0.0) is not None
    table = _cells_table(priced.cells, plan.spec.currency if is_priced else None)
    card = plan.card
    if plan.spec.trainer is not None:
        out.print(f"{plan.spec.name}: {' '.join(plan.spec.trainer.command)}", highlight=False, markup=False)
    else:
        out.print(
            f"{plan.spec.name}: {card.name}, {card.train_examples:,} training and {card.validation_examples:,} held-out examples, "
            f"{card.num_classes:,} classes, {card.image_shape[0]}×{card.image_shape[1]} px, batch {plan.spec.batch_size:,}",
            highlight=False,
        )
    out.print(table)
    out.print(
        f"{'about ' if plan.searches else ''}{priced.expected_runs} runs, {_total(priced)}: "
        f"FLOPs, core-hours{', cost' if is_priced else ''} and wall time are a run's, estimated {_basis(priced)}",
        highlight=False,
    )
    if counted := plan.counted_models:
        out.print(f"parameters and FLOPs of {', '.join(counted)} are counted from the module", highlight=False, markup=False)
    if plan.searches:
        out.print(
            f"learning rates of {len(plan.searches)} cells are found on the way, {_trials(plan)}; which, depends on what the smaller cells show",
            highlight=False,
        )
    if plan.inherited_core_hours:
        spent = plan.estimated_core_hours - plan.inherited_core_hours
        out.print(
            f"shorter budgets start from the longest one's checkpoints: {amount(spent)} core-hours are spent, "
            f"{plan.inherited_core_hours / plan.estimated_core_hours:.0%} less than for each run alone",
            highlight=False,
        )
    _show_finetuning(priced, out)
    for note in priced.notes:
        out.print(note, highlight=False, markup=False)
    if plan.remark:
        out.print(plan.remark, highlight=False)


def show_findings(found: Priced, out: Console) -> None:
    """Print which runs exist already, and what was seen of the data and of a program's folder."""
    if known := found.known:
        counts = Counter(known.values())
        states = ", ".join(f"{count} {state}" for state, count in counts.items())
        out.print(f"{len(known)} of {len(found.states)} listed runs exist already: {states}")
    for split in found.looked:
        bad = f", {len(split.bad)} cannot be used and are skipped: {split.bad[0][0]}: {split.bad[0][1]}" if split.bad else ""
        out.print(f"{split.split} examples: {split.read:,} of {split.examples:,} read{bad or ', all can be used'}")
    for remark in found.remarks:
        out.print(remark, highlight=False, markup=False)
    if passes := found.passes_confirm_above:
        out.print(f"`submit` asks first, or wants --yes: {passes.replace(', above', ' are above')}", highlight=False)


def _cells_table(cells: Sequence[Mapping[str, Any]], currency: str | None) -> Table:
    """Make the table of cells, with what a run of each costs where there is a currency to count it in."""
    from rich.table import Column, Table

    from scaling.cli.output import duration

    cost = () if currency is None else (f"cost ({currency})",)
    names = ("params", "epochs", "steps", "learning rate", "runs", "train FLOPs", "core-hours", *cost, "wall time")
    table = Table(
        "model",
        *[Column(name, justify="right") for name in names],
        "state",
        box=None,
        pad_edge=False,
        collapse_padding=True,
    )
    for row in cells:
        table.add_row(
            row["model"], _count(row["params"]), f"{row['epochs']:g}", _count(row["steps"]), _rates(row), f"{'≈ ' if row['policy'] else ''}{row['runs']}",
            significant(row["train_flops"] or None, 3), amount(row["estimated_core_hours"] or None),
            *([] if currency is None else [amount(row["estimated_cost"] or None)]),
            duration(row["estimated_wall_seconds"]) if row["estimated_wall_seconds"] else "–",
            row["state"],
        )  # fmt: skip
    return table


def _show_finetuning(priced: Priced, out: Console) -> None:
    """Print what fine-tuning takes, a row a model; nothing where the file has none."""
    told, plan, spec = priced.to_dict()["finetuning"], priced.plan.finetuning, priced.plan.spec
    if told is None or plan is None or spec.finetune is None:
        return
    rule, card = told["from"], plan.card
    which = {
        "all": "every cell",
        "frontier": "the cells on the frontier of each family",
        "top": "the best cell of each family" if rule.get("top") == 1 else f"the {rule.get('top')} best cells of each family",
    }
    sizes = " px, evaluated at ".join(dict.fromkeys(f"{side}×{width}" for side, width, _ in (card.image_shape, card.eval_shape)))
    out.print()
    out.print(
        f"fine-tuning of {which[rule['name']]}: {card.name}, {card.train_examples:,} training and {card.validation_examples:,} held-out examples, "
        f"{card.num_classes:,} classes, {sizes} px, batch {plan.spec.batch_size:,}",
        highlight=False,
    )
    out.print(_cells_table(told["cells"], spec.currency if told["estimated_cost"] is not None else None))
    about = "" if rule["name"] == "all" and not plan.searches else "about "
    cost = "" if told["estimated_cost"] is None else f" ({money(told['estimated_cost'], spec.currency)})"
    out.print(
        f"{about}{told['pretrained_cells']} pre-trained cells, {told['runs']} runs, {amount(told['estimated_core_hours'])} core-hours{cost} of fine-tuning "
        "beside those of pre-training",
        highlight=False,
    )


def _basis(priced: Priced) -> str:
    """Say on what the estimates rest."""
    spec, measured = priced.plan.spec, priced.measured
    resources, cores = spec.resources, spec.core_count
    unit = "core" if resources.accelerator == "cpu" else "chip"
    place = (
        f"{resources.chip_count} {resources.accelerator} {unit}{'s' if resources.chip_count > 1 else ''} "
        f"({cores} core{'s' if cores > 1 else ''})"
    )
    stated = f"at {significant(resources.assumed_mfu, 3)} of the peak of {place}"
    if not measured and priced.plan.spec.trainer is not None:
        return "where the file states examples and macs; other runs are not estimated until one of their model has finished"
    if not measured and spec.kind.peak_flops is None:
        return f"once `scaling probe FILE` has measured it: the peak of {place} is not known"
    if not measured:
        return stated
    of = "" if measured == priced.expected_runs else f" for {measured} of them, the others {stated}"
    return f"from speeds that were measured on {place if not of else resources.accelerator}{of}"


def _total(priced: Priced) -> str:
    """Say what all runs are estimated to take, and that it is not known where no cell has an estimate, or not every one."""
    unknown = sum(not row["estimated_core_hours"] for row in priced.cells)
    if unknown == len(priced.cells):
        return "core-hours not known yet"
    hours = f"{amount(priced.plan.estimated_core_hours)} core-hours{_money(priced)}"
    return f"{hours} without the {unknown} of {len(priced.cells)} cells that have no estimate" if unknown else f"{hours} in all"


def _money(priced: Priced) -> str:
    """Write what the plan costs, as a clause; empty where the file has no price."""
    cost = priced.cost(priced.plan.estimated_core_hours)
    return "" if cost is None else f" ({money(cost, priced.plan.spec.currency)})"


def _count(number: int) -> str:
    """Write a count; a program's, which may not be known, as a dash."""
    return f"{number:,}" if number else "–"


def _trials(plan: Plan) -> str:
    """Say how many trials the cells that are searched take, by what is searched for in them."""
    kinds = Counter(search.policy.second.name if search.policy.second else "" for search in plan.searches)
    if set(kinds) == {""}:
        return "in two trials each"
    told = ["two trials" + (f" in {kinds['']}" if len(kinds) > 1 else " in each")] if kinds[""] else []
    told += [
        f"about five trials in {count if len(kinds) > 1 else 'each'}, which find {name.replace('_', ' ')} too"
        for name, count in kinds.items()
        if name
    ]
    return ", ".join(told)


def _rates(row: Mapping[str, Any]) -> str:
    rates = row["learning_rates"]
    if row["policy"]:
        return f"{row['policy']['name']} from {row['policy']['start']:g}"
    return f"{rates[0]:g}" if len(rates) == 1 else f"{rates[0]:g} … {rates[-1]:g}"
