"""The results as tables in Markdown."""

from __future__ import annotations

from typing import Any

__all__ = ["show"]


def show(results: dict[str, Any]) -> None:
    """Print what the snippets and the study came to."""
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    print(
        f"{versions}; SIGKILL goes to the program, its leash or its trainer process, at random times after the first report of an attempt."
    )
    print()
    print("| script | exit code by hand | runs | SIGKILL | attempts, from a checkpoint | losses equal |")
    print("|---|---|---|---|---|---|")
    for each in results["scripts"]:
        print(f"| {each['script']} | {each['by_hand']} | {len(each['runs'])} | {_sums(each)} |")
    print()
    study = next((each for each in results["scripts"] if each["script"] == "PyTorch"), None)
    if study is None:
        return
    print("| model | epochs | attempts | redone | validation loss | interrupted |")
    print("|---|---|---|---|---|---|")
    for run in study["runs"]:
        redone = run["redone_seconds"] / (run["useful_seconds"] + run["redone_seconds"])
        same = "the same" if run["val_loss"] == run["undisturbed"] else f"{run['val_loss']!r}"
        print(f"| {run['model']} | {run['epochs']:g} | {run['attempts']} | {redone:.0%} | {run['undisturbed']:.6f} | {same} |")
    print()
    print("`scaling fit --x train_flops` says of the study that was struck:")
    print()
    print("```text")
    print(
        "\n".join(
            line.rstrip()
            for line in study["law"].splitlines()[:1] + [each for each in study["law"].splitlines() if " law   " in each]
        )
    )
    print("```")


def _sums(each: dict[str, Any]) -> str:
    runs = each["runs"]
    attempts, resumed = (sum(run[name] for run in runs) for name in ("attempts", "from_a_checkpoint"))
    equal = sum(run["val_loss"] == run["undisturbed"] for run in runs)
    return f"{sum(each['struck'].values())} | {attempts}, {resumed} | {equal} of {len(runs)}"
