"""The card of a classifier: how good it is and where it came from, sealed with a digest and of one known shape."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from typing import Any

from featx.classifiers.kinds import CLASSIFIERS
from featx.files.json_schema import NUMBER, Each, Maybe, Row, first_error
from featx.files.markdown import escape_markdown, inline_code
from featx.files.regular import parse_json

NO_DIGEST = "0" * 64

SHARE = {"accuracy": NUMBER, "ci95": Row(NUMBER, 2), "n": int}
CHECKED = {"n": int, "answered": int, "right": NUMBER}
PROMISE = {
    "target": NUMBER,
    "everywhere?": NUMBER,
    "answered": NUMBER,
    "precision": NUMBER,
    "low": NUMBER,
    "high": NUMBER,
    "n": int,
    "categories": Each(Maybe(NUMBER)),
    "measured_on": str,
}
CARD = {
    "sha256": str,
    "clf": str,
    "backbone": str,
    "store": str,
    "written": str,
    "n": int,
    "labels": [str],
    "test?": SHARE,
    "cv": {**SHARE, "folds": int, "grouped_by": str, "groups": int},
    "baseline": NUMBER,
    "automation": {
        "target": NUMBER,
        "coverage?": NUMBER,
        "threshold?": NUMBER,
        "measured_on": str,
        "n": int,
        "held_out?": CHECKED,
    },
    "coverage": [{"coverage": NUMBER, "threshold": NUMBER, "precision": NUMBER, "low": NUMBER, "high": NUMBER}],
    "coverage_on": str,
    "thresholds": [PROMISE],
    "fingerprint": {"backbone": str, "width": int},
    "level?": str,
    "held_out": [str],
}


def read_card(said: bytes) -> dict[str, Any]:
    """What the bytes of a card say; ValueError where they are not what was written, or no card featx writes."""
    card = parse_json(said)
    digest = card.get("card_sha256") if isinstance(card, dict) else None
    if not isinstance(digest, str) or len(digest) != len(NO_DIGEST):
        raise ValueError("its card has no digest")
    before = said.replace(digest.encode("utf-8", "replace"), NO_DIGEST.encode(), 1)
    if hashlib.sha256(before).hexdigest() != digest:
        raise ValueError("its card is not what was written")
    if wrong := first_error(card, CARD):
        raise ValueError(f"its card is damaged: {wrong}")
    return dict(card)


def card_bytes(card: Mapping[str, object]) -> bytes:
    """A card as it is kept: it begins with the digest of all the rest of it."""
    told = {"card_sha256": NO_DIGEST, **{key: value for key, value in card.items() if key != "card_sha256"}}
    data = (json.dumps(told, ensure_ascii=False, indent=1) + "\n").encode("utf-8", "backslashreplace")
    return data.replace(NO_DIGEST.encode(), hashlib.sha256(data).hexdigest().encode(), 1)


def training_command(card: Mapping[str, Any]) -> str:
    """The command that trains this classifier again."""
    settings, spec = card.get("settings") or {}, CLASSIFIERS.get(card["clf"])
    reduce, level, folds = settings.get("reduce"), card.get("level"), card.get("asked_folds")
    splits = ",".join(card.get("held_out") or ())
    words = ["featx", "fit", "--clf", card["clf"], "--store", card["store"]]
    words += ["--folds", folds] if folds not in (None, 5) else []
    words += ["--tune"] if card.get("tuned") else []
    words += ["--class-weight", settings["class_weight"]] if settings.get("class_weight") else []
    words += ["--reduce", reduce] if reduce and not (spec is not None and reduce == spec.reduction) else []
    words += ["--resample"] if settings.get("resample") else []
    words += ["--level", level] if level is not None else []
    words += ["--test", card.get("test_store") or splits] if card.get("test_store") or splits != "test,val" else []
    words += ["--seed", settings["seed"]] if settings.get("seed") else []
    return shlex.join(str(word) for word in words)


def page(card: dict[str, Any]) -> str:
    """The card for people, in Markdown."""

    def row(name: str, share: dict[str, Any] | None) -> str:
        if share is None:
            return f"| {name} | – | – | 0 |"
        low, high = share["ci95"]
        return f"| {name} | {share['accuracy']:.1%} | {low:.1%} – {high:.1%} | {share['n']:,} |"

    lines = [
        f"# {escape_markdown(card['clf'])} on {escape_markdown(card['backbone'])} features",
        "",
        f"{card['classes']:,} categories, {card['n']:,} photos, written {card['written']}.",
        "",
        "| right | share | 95 % interval | photos |",
        "|---|---|---|---|",
        row("held-out photos", card["test"]),
        row(f"cross-validation, {card['cv']['folds']} grouped folds", card["cv"]),
        "",
        *_promises(card),
        f"Store: {inline_code(card['store'])}. Settings: {inline_code(json.dumps(card['settings']))}.",
        f"Fingerprint: {inline_code(json.dumps(card['fingerprint'], ensure_ascii=False))}.",
        f"SHA-256 of the classifier: `{card['sha256']}`.",
    ]
    return "\n".join(lines) + "\n"


def _promises(card: dict[str, Any]) -> list[str]:
    """What the thresholds of each category bought, and where they lie."""
    table = card.get("thresholds") or []
    if not table:
        return []
    lines = [
        "Thresholds by category (`featx predict --min-precision`), tried on products they were not chosen on:",
        "",
        "| right, asked | answered | right | 95 % interval | chosen on |",
        "|---|---|---|---|---|",
    ]
    for row in table:
        right = f"{row['precision']:.1%} | {row['low']:.1%} – {row['high']:.1%}" if row["n"] else "– | –"
        where = row.get("measured_on") or card["automation"]["measured_on"]
        lines.append(f"| {row['target']:.0%} | {row['answered']:.0%} | {right} | {where} |")
    targets = [row["target"] for row in table]
    lines += ["", "| category | " + " | ".join(f"{one:.0%}" for one in targets) + " |", "|---" * (len(table) + 1) + "|"]

    def cell(threshold: float | None) -> str:
        return "never" if threshold is None else f"{threshold:.3f}"

    rows = [("all others", [row["everywhere"] for row in table])]
    rows += [(label, [row["categories"][label] for row in table]) for label in card["labels"]]
    for label, found in rows:
        lines.append(f"| {escape_markdown(label)} | " + " | ".join(cell(one) for one in found) + " |")
    return [*lines, ""]
