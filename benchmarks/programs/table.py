"""The results as tables in Markdown."""

from __future__ import annotations

from typing import Any

__all__ = ["show"]


def show(results: dict[str, Any]) -> None:
    """Print what the snippets and the study came to."""
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    print(
        f"{versions}; SIGKILL goes to the program, its leash or its trainer process, at random times after the first report of an attempt."
        " Of torchrun it goes also to one of the two processes that it started. No process was left after a study."
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
    for number, (x, law) in enumerate(study["laws"].items()):
        print("\n" * bool(number) + f"`scaling fit --x {x}` says of the study that was struck:")
        print()
        print("```text")
        for line in law.splitlines():
            if line == law.splitlines()[0] or " law" in line or "✓" in line or "✗" in line or " ? " in line:
                print(line.rstrip())
        print("```")


def _sums(each: dict[str, Any]) -> str:
    runs = each["runs"]
    attempts, resumed = (sum(run[name] for run in runs) for name in ("attempts", "from_a_checkpoint"))
    equal = sum(run["val_loss"] == run["undisturbed"] for run in runs)
    struck = ", ".join(f"{number} {who}" for who, number in sorted(each["struck"].items()))
    return f"{sum(each['struck'].values())}: {struck} | {attempts}, {resumed} | {equal} of {len(runs)}"
