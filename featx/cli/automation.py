"""The automation rate in words, the same in `fit` and `evaluate`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from featx.cli.output import percent, pluralise


def automation_lines(automation: Mapping[str, Any]) -> list[str]:
    """The share filed without a person, its threshold and where it was measured; and that on few held-out photos."""
    from featx.metrics.selective import format_threshold

    threshold, held_out = automation["threshold"], automation["held_out"]
    if automation["coverage"] is None:
        text = f"   –      too few products to say ({automation['n']:,} of {automation['needed']:,})"
    else:
        above = "" if threshold is None else f" (sure ≥ {format_threshold(threshold)})"
        text = (
            f"{percent(automation['coverage'], 0):>6}    at 98% right{above}, measured on {automation['measured_on']}"
        )
    lines = [f"{'filed without a person':<28} {text}"]
    if held_out is not None:
        filed = "" if threshold is None else f"; of them {held_out['answered']:,} would be filed"
        right = f", {percent(held_out['right'], 0)} right" if held_out["answered"] else ""
        few = f"{pluralise(held_out['n'], 'held-out photo')} are too few to choose on"
        lines.append(f"{'':<28}           {few}{filed}{right}")
    return lines
