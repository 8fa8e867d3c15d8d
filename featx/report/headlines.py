"""The sentences that open the sections, written from the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from featx.report.formatting import Formatter, TerminalFormatter, at
from featx.report.strings import ANSWERS, WORDS


def answer(section: str, teller: Formatter) -> str:
    """The one sentence that opens a section; where nothing was measured it says what to run."""
    return _WRITERS[section](teller)


def in_short(document: Mapping[str, Any]) -> dict[str, str]:
    """Every section's answer as a terminal shows it."""
    speaker = TerminalFormatter(document)
    return {section: answer(section, speaker) for section in _WRITERS}


def headline(teller: Formatter) -> str:
    """The page's first sentence: what to use."""
    row = f"/which/rows/{best_row(teller.document)}"
    held_out = at(teller.document, "/honest/measured_on") == "test"
    return teller.say(
        ANSWERS["headline" if held_out else "headline_cv"],
        clf=teller.text(at(teller.document, f"{row}/clf")),
        backbone=teller.text(at(teller.document, f"{row}/backbone")),
        accuracy=teller.number("share", f"{row}/accuracy/value"),
        where=_where(teller),
    )


def plural(teller: Formatter, key: str, path: str, **parts: object) -> str:
    """A phrase about a number, in the form that one takes where it is one."""
    words = {**WORDS, **ANSWERS}
    form = {0: f"{key}_none", 1: f"{key}_one"}.get(at(teller.document, path), key)
    return teller.say(words[form if form in words else key], n=teller.number("count", path), **parts)


def _where(teller: Formatter) -> str:
    return WORDS[str(at(teller.document, "/honest/measured_on"))]


def _which(teller: Formatter) -> str:
    place = best_row(teller.document)
    row = f"/which/rows/{place}"
    best = at(teller.document, row)
    others = []
    for key in ("alike", "ties"):
        if n := len(at(teller.document, f"/which/{key}") or ()):
            others.append(teller.say(ANSWERS[f"which_{key}" if n > 1 else f"which_{key}_one"], n=n))
    return teller.say(
        ANSWERS["which"],
        clf=teller.text(best["clf"]),
        backbone=teller.text(best["backbone"]),
        accuracy=teller.number("share", f"{row}/accuracy/value"),
        low=teller.number("share", f"{row}/accuracy/low"),
        high=teller.number("share", f"{row}/accuracy/high"),
        where=_where(teller),
        ties="".join(others),
    )


def best_row(document: Mapping[str, Any]) -> int:
    """Where the recommended entry stands in the table."""
    return next((i for i, row in enumerate(document["which"]["rows"]) if row["best"]), 0)


def _honest(teller: Formatter) -> str:
    document = teller.document
    row = f"/which/rows/{best_row(document)}/accuracy"
    reached = [(b["accuracy"]["value"], i) for i, b in enumerate(document["honest"]["baselines"]) if b["accuracy"]]
    floor = f"/honest/baselines/{max(reached)[1]}/accuracy/value" if reached else None
    naive = "/honest/naive/value" if document["honest"].get("naive") else None
    return teller.say(
        ANSWERS["honest"],
        accuracy=teller.number("share", f"{row}/value"),
        low=teller.number("share", f"{row}/low"),
        high=teller.number("share", f"{row}/high"),
        where=_where(teller),
        floor=teller.say(ANSWERS["honest_floor"], baseline=teller.number("share", floor)) if floor else "",
        gap=teller.say(ANSWERS["honest_gap"], naive=teller.number("share", naive)) if naive else "",
    )


def _fails(teller: Formatter) -> str:
    fails = teller.document.get("fails")
    if not fails:
        return teller.say(WORDS["not_fails"])
    n, confusion = sum(row["n"] for row in fails["per_class"]), fails.get("confusion")
    if confusion is None or not fails["pairs"]:
        return teller.say(ANSWERS["fails_none"], n=f"{n:,}")
    return teller.say(
        ANSWERS["fails"],
        mistakes=teller.number("count", "/fails/confusion/mistakes"),
        n=f"{n:,}",
        truth=teller.text(fails["pairs"][0]["truth"]),
        says=teller.text(fails["pairs"][0]["says"]),
        times=plural(teller, "times_wrong", "/fails/pairs/0/n"),
        weakest=teller.text(fails["per_class"][0]["label"]),
        recall=teller.number("share", "/fails/per_class/0/recall"),
    )


def _trust(teller: Formatter) -> str:
    trust = teller.document.get("trust")
    if not trust:
        return teller.say(WORDS["not_trust"])
    if not trust["n"]:
        return teller.say(ANSWERS["trust_bins"], n=len(trust["reliability"]))
    wanted = next((i for i, one in enumerate(trust["thresholds"]) if one["target"] == 0.98), None)
    parts = {
        "confidence": teller.number("share", "/trust/confidence"),
        "accuracy": teller.number("share", "/trust/accuracy"),
        "n": teller.number("count", "/trust/n"),
    }
    if not trust["enough"]:
        return teller.say(ANSWERS["trust_few"], **parts)
    if wanted is None or not trust["thresholds"][wanted]["coverage"]:
        return teller.say(ANSWERS["trust_none"], **parts)
    covered = teller.number("share", f"/trust/thresholds/{wanted}/coverage")
    return teller.say(ANSWERS["trust"], coverage=covered, **parts)


def _data(teller: Formatter) -> str:
    data = teller.document["data"]
    parts = []
    if data["issues"] is not None:
        parts.append(plural(teller, "data_issues", "/data/issues/n"))
    if data["duplicates"] is not None:
        leaks = teller.number("count", "/data/duplicates/n_leaks")
        parts.append(plural(teller, "data_duplicates", "/data/duplicates/n", leaks=leaks))
    if data["skipped"] is not None:
        parts.append(plural(teller, "data_skipped", "/data/skipped/n"))
    if not parts:
        return teller.say(ANSWERS["data_none"])
    # A sentence may begin with a number, but not with a small letter.
    parts[0] = parts[0][:1].upper() + parts[0][1:]
    joined = teller.say("; ".join("{" + f"p{i}" + "}" for i in range(len(parts))), **dict(_numbered(parts)))
    return teller.say(ANSWERS["data"], parts=joined)


def _numbered(parts: list[str]) -> list[tuple[str, str]]:
    return [(f"p{i}", part) for i, part in enumerate(parts)]


def _similar(teller: Formatter) -> str:
    similar = teller.document.get("similar")
    if not similar:
        return teller.say(WORDS["not_similar"])
    if not similar["measured"]:
        return teller.say(WORDS["not_search"])
    return teller.say(
        ANSWERS["similar"],
        recall=teller.number("share", search_path(teller.document, "recall_at_1")),
        map=teller.number("decimal", search_path(teller.document, "map")),
    )


def search_path(document: Mapping[str, Any], metric: str) -> str:
    """Where a figure of the search lies: a plain number, or one with an interval."""
    path = f"/similar/measured/{metric}"
    return f"{path}/value" if isinstance(at(document, path), Mapping) else path


def _map(teller: Formatter) -> str:
    drawn = teller.document.get("map")
    if not drawn:
        return teller.say(WORDS["not_map"])
    n = teller.number("count", "/map/n")
    if drawn["same_category"] is None:
        return teller.say(ANSWERS["map_plain"], n=n)
    same = teller.number("share", "/map/same_category")
    return teller.say(ANSWERS["map"], n=n, classes=f"{len(drawn['classes']):,}", same=same)


def _made(teller: Formatter) -> str:
    n = len(teller.document["made"]["stores"])
    return teller.say(
        ANSWERS["made" if n != 1 else "made_one"],
        seconds=teller.number("seconds", "/made/seconds"),
        version=teller.text(teller.document["featx"]),
        stores=n,
    )


def changed(teller: Formatter) -> str:
    """What fell or rose since the report that this one was compared with."""
    told = teller.document["changes"]
    fell = [one["metric"] for one in told["metrics"] if one["fell"]]
    rose = [one["metric"] for one in told["metrics"] if one["rose"]]
    names = [WORDS.get(f"{metric}_name", metric) for metric in fell or rose]
    said = ANSWERS["changed_fell" if fell else "changed_rose" if rose else "changed_nothing"]
    what = ", ".join(names)
    return teller.say(said, what=what[:1].upper() + what[1:], when=str(told.get("since") or "")[:10])


def doubling(teller: Formatter) -> str:
    """What twice the photos would bring, as far as the learning curve tells."""
    told = teller.document["honest"]["doubling"]
    path = "/honest/doubling/accuracy"
    if at(teller.document, path) is None:
        why = str(told["why"])
        return teller.say("{why}.", why=why[:1].upper() + why[1:])
    return teller.say(WORDS["doubling"], accuracy=teller.number("share", path))


_WRITERS = {
    "which": _which,
    "honest": _honest,
    "fails": _fails,
    "trust": _trust,
    "data": _data,
    "similar": _similar,
    "map": _map,
    "made": _made,
}
