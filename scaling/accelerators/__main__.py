"""Prints the table of accelerators for docs/experiments.md: `python -m scaling.accelerators`."""

from __future__ import annotations

from scaling.accelerators.table import TABLE


def main() -> None:
    """Print the shipped rows as a table in Markdown."""
    print("| name | other names | TFLOP/s a chip | memory | cores a chip | chips a host |")
    print("|---|---|--:|--:|--:|--:|")
    for kind in TABLE:
        memory = "–"
        if kind.memory_bytes is not None:
            binary = kind.memory_bytes % 2**30 == 0
            memory = f"{kind.memory_bytes / (2**30 if binary else 10**9):g} {'GiB' if binary else 'GB'}"
        peak = "–" if kind.peak_flops is None else f"{kind.peak_flops / 1e12:g}"
        others = ", ".join(f"`{alias}`" for alias in kind.aliases)
        print(f"| `{kind.name}` | {others} | {peak} | {memory} | {kind.cores_per_chip} | {kind.chips_per_host} |")


if __name__ == "__main__":
    main()
