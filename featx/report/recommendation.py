"""Which entry to use: the rows of the report's first table, and the differences that are real."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Document = dict[str, Any]


def score_of(told: Mapping[str, Any] | None) -> dict[str, float | None] | None:
    """A metric as value, low and high, whether it was measured once or over folds."""
    if not told:
        return None
    value = told.get("value", told.get("mean"))
    return None if value is None else {"value": value, "low": told.get("low"), "high": told.get("high")}


def headline(entry: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """What an entry is judged by: the held-out photos where there are any, else cross-validation."""
    return ("test", entry["test"]) if entry.get("test") else ("cv", entry.get("cv") or {})


def which_of(comparison: Mapping[str, Any], price: float | None) -> Document:
    """Every entry with accuracy, pace and size, best first; what is recommended; which differences are real."""
    stores = {one["name"]: one for one in comparison.get("stores", ())}
    best = comparison["best"]
    ties, alike, below = ({(one[0], one[1]) for one in best.get(key) or ()} for key in ("ties", "alike", "below"))
    rows = []
    for entry in comparison["entries"]:
        measured_on, scores = headline(entry)
        told = stores.get(entry["store"], {})
        rate = pace(told.get("images_per_second"), entry.get("predict_seconds"))
        rows.append(
            {
                "store": entry["store"],
                "clf": entry["clf"],
                "backbone": told.get("backbone") or entry["store"],
                "baseline": bool(entry.get("baseline")),
                "best": entry["store"] == best["store"] and entry["clf"] == best["clf"],
                "tied": (entry["store"], entry["clf"]) in ties,
                "alike": (entry["store"], entry["clf"]) in alike,
                "below": (entry["store"], entry["clf"]) in below,
                "measured_on": measured_on,
                "accuracy": score_of(scores.get("accuracy")),
                "macro_f1": score_of(scores.get("macro_f1")),
                "images_per_second": rate,
                "hours_per_million": 1e6 / rate / 3600 if rate else None,
                "cost_per_million": 1e6 / rate / 3600 * price if rate and price is not None else None,
                "fit_seconds": entry.get("fit_seconds"),
                "predict_seconds": entry.get("predict_seconds"),
                "bytes": entry.get("bytes"),
            }
        )
    rows.sort(key=lambda row: -(row["accuracy"] or {"value": -1.0})["value"])
    for row in rows:
        row["unbeaten"] = not row["baseline"] and not any(_beats(other, row) for other in rows)
    tests, tests_on = real_differences(comparison, best)
    return {
        "best": {"store": best["store"], "clf": best["clf"], "why": best.get("why")},
        **{key: [[one[0], one[1]] for one in best.get(key) or ()] for key in ("ties", "alike")},
        "rows": rows,
        "tests": [_winner_first(test) for test in tests],
        "tests_on": tests_on,
        "price_per_hour": price,
    }


def pace(extracted: float | None, answer_seconds: float | None) -> float | None:
    """Photos a second from file to answer: the network's part and the classifier's."""
    return 1 / (1 / extracted + (answer_seconds or 0.0)) if extracted else None


def real_differences(comparison: Mapping[str, Any], best: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], str]:
    """The tests between entries, on the photos that the scores are of, and which those are."""
    held_out = comparison.get("held_out_tests")
    judged = [one for one in comparison["entries"] if (one["store"], one["clf"]) == (best["store"], best["clf"])]
    if held_out and judged and judged[0].get("test"):
        return list(held_out), "test"
    return list(comparison.get("tests") or ()), "cv"


def _winner_first(test: Mapping[str, Any]) -> Document:
    """A test of two entries with the better one as `a`, so that what it wins by is above zero."""
    told = dict(test)
    if test["verdict"] == "b":
        low, high = test.get("low"), test.get("high")
        told |= {"a": test["b"], "b": test["a"], "verdict": "a", "difference": -test["difference"]}
        told |= {"low": None if high is None else -high, "high": None if low is None else -low}
    return told


def _beats(other: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether `other` is at least as good in accuracy, pace and size, and better in one."""

    def worth(one: Mapping[str, Any]) -> tuple[float, float, float]:
        return (one["accuracy"] or {"value": -1.0})["value"], one["images_per_second"] or 0.0, -(one["bytes"] or 0)

    mine, theirs = worth(row), worth(other)
    return theirs != mine and all(a >= b for a, b in zip(theirs, mine, strict=True))
