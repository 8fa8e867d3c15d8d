"""The report as one HTML file: everything inside, nothing fetched, every number from the document."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from featx.report.confusion import matrix_of
from featx.report.confusion_image import COLOURS, matrix_png
from featx.report.formatting import Formatter, at, seconds, size
from featx.report.headlines import answer, best_row, changed, doubling, headline, plural, search_path
from featx.report.plots import PLOTS, classifiers_are_bars, svg_of
from featx.report.size_budget import STEPS, TIGHTER, PageBudget, map_data, picture, sheet
from featx.report.strings import LANGUAGE, SECTIONS, WORDS

Document = Mapping[str, Any]

TEMPLATES = Path(__file__).parent / "templates"
WHOLE_MATRIX = 20
TESTS = 12
HARDEST = 5
SEARCH = ("recall_at_1", "recall_at_5", "recall_at_10", "precision_at_10", "map")


def page(document: Document, folder: Path) -> str:
    """The HTML of a report document with nothing left out; its thumbnails are read from `folder`."""
    return renderer(document, folder, 0)(PageBudget())


def renderer(document: Document, folder: Path, limit: int) -> Callable[[PageBudget], str]:
    """What makes the HTML of a document, with as much left out as asked; `limit` is the size it should keep to."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # Everything is escaped unless it is Markup made here: labels and file names come from anywhere.
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    teller = Formatter(document, html=True)
    scripts = [Markup((TEMPLATES / name).read_text(encoding="utf-8")) for name in ("report.js", "map.js")]
    search = [(name, path) for name in SEARCH if at(document, path := search_path(document, name)) is not None]
    template = environment.get_template("report.html.j2")
    filled = partial(
        template.render,
        r=document,
        w=WORDS,
        language=LANGUAGE,
        sections=SECTIONS,
        policy=_policy(scripts),
        css=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        scripts=scripts,
        script_words=_json({"found": WORDS["found"], "colours": COLOURS}),
        get=lambda path: at(document, path),
        number=teller.number,
        say=teller.say,
        fill=teller.say,
        plural=lambda key, path: plural(teller, key, path),
        answer=lambda section: answer(section, teller),
        headline=headline(teller),
        best=best_row(document),
        filed="/trust/thresholds/2/coverage" if _filed(document) else None,
        first_right=dict(search).get("recall_at_1"),
        search=search,
        paced=any(row["images_per_second"] for row in document["which"]["rows"]),
        bars_or_pareto=WORDS["which_bars" if classifiers_are_bars(document) else "which_plot"],
        plots={name: None if (svg := svg_of(name, document)) is None else Markup(svg) for name in PLOTS},
        differences=differences(teller),
        alt=_alt,
        short=_short_name,
        suspect=lambda row: f"{WORDS['says']} {row['says']}, {WORDS['looks_like']} {row['looks_like']}",
        neighbour=lambda path, one: teller.say(
            "{mark} {similarity} {label}",
            mark=WORDS["right_mark" if one["right"] else "wrong_mark"],
            similarity=teller.number("decimal", f"{path}/similarity"),
            label=one["label"] or "–",
        ),
        blocks=list(_blocks(document)),
        matrix_whole=_whole(document),
        matrix_picture=_matrix_address(document),
        commands=commands(document),
        changed=changed(teller) if document.get("changes") else "",
        doubling=doubling(teller) if document["honest"].get("doubling") else "",
        hardest=_hardest(document),
        facts=_facts,
        breakable=_breakable,
    )
    drawn = document.get("map")

    # A page is made several times until it fits; its pictures only once for each size.
    @cache
    def shown(name: str | None, side: int) -> str | None:
        return picture(folder, name, side)

    def render(slim: PageBudget) -> str:
        return filled(
            slim=slim,
            picture=lambda name, kind: None if kind in slim.without else shown(name, slim.side),
            map_sheet=None if not drawn else sheet(folder, drawn, slim),
            map_data=_json(map_data(drawn, slim)),
            n_drawn=min(drawn["n"], slim.points or drawn["n"]) if drawn else 0,
            foot=_foot(document, slim, limit),
        )

    return render


def _policy(scripts: list[Markup]) -> str:
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {hashes}; "
        "base-uri 'none'; form-action 'none'"
    )


def _json(value: object) -> Markup:
    """JSON that may stand inside a script element: nothing in it can end one."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return Markup(text)


def _filed(document: Document) -> bool:
    trust = document.get("trust") or {}
    return bool(trust.get("enough")) and len(trust.get("thresholds") or ()) > 2


def _alt(photo: Mapping[str, Any]) -> str:
    words = WORDS["photo_alt"] if photo.get("label") else WORDS["photo_alt_unknown"]
    return words.format(id=photo["id"], label=photo.get("label"))


def _short_name(item_id: str) -> str:
    """The end of an id that is a path; the whole of it is in the photo's description."""
    name = item_id.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1] or item_id
    stem, dot, ending = name.rpartition(".")
    if dot and stem and ending.lower() in ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif"):
        name = stem
    return name if len(name) <= 24 else f"{name[:9]}…{name[-6:]}"


def _breakable(text: str) -> Markup:
    """A caption that may go on in a new line after what joins the words of a name."""
    pieces = re.split(r"(<[^>]*>)", str(escape(text)))
    return Markup("".join(p if p.startswith("<") else re.sub(r"([_/-])(?=\w)", r"\1<wbr>", p) for p in pieces))


def commands(document: Document) -> list[str]:
    """What to type to make it all again."""
    made = document["made"]
    return list(made.get("commands") or [" ".join(str(word) for word in made["command"])])


def _hardest(document: Document) -> list[int]:
    """Where the categories stand whose look-alikes are least often right."""
    told = at(document, "/similar/measured/categories") or []
    known = [i for i, one in enumerate(told) if one.get("recall_at_1") is not None]
    return sorted(known, key=lambda i: (told[i]["recall_at_1"], told[i].get("map") or 0.0, told[i]["label"]))[:HARDEST]


def differences(teller: Formatter) -> list[str]:
    """A sentence for each pair of classifiers that was compared, the recommended one's first."""
    tests = list(enumerate(teller.document["which"]["tests"]))
    best = teller.document["which"]["best"]
    name = [best["store"], best["clf"]]
    tests.sort(key=lambda one: name not in (list(one[1]["a"]), list(one[1]["b"])))
    several = len({entry[0] for _, test in tests for entry in (test["a"], test["b"])}) > 1

    def called(entry: list[str]) -> str:
        return teller.text(f"{entry[1]} · {entry[0]}" if several else entry[1])

    lines = []
    for i, test in tests[:TESTS]:
        p = "p_holm" if test.get("p_holm") is not None else "p"
        numbers = {key: teller.number("points", f"/which/tests/{i}/{key}") for key in ("difference", "low", "high")}
        lines.append(
            teller.say(
                WORDS["pair_tie" if test["verdict"] == "tie" else "pair_better"],
                a=called(test["a"]),
                b=called(test["b"]),
                p=teller.number("decimal", f"/which/tests/{i}/{p}"),
                **numbers,
            )
        )
    return lines


def _whole(document: Document) -> bool:
    confusion = (document.get("fails") or {}).get("confusion")
    return confusion is None or len(confusion["classes"]) <= WHOLE_MATRIX


def _matrix_address(document: Document) -> str | None:
    if _whole(document):
        return None
    png = matrix_png(document["fails"]["confusion"])
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _blocks(document: Document) -> Iterator[dict[str, Any]]:
    confusion = (document.get("fails") or {}).get("confusion")
    if confusion is None:
        return
    matrix = matrix_of(confusion)
    place = {(i, j): k for k, (i, j, _) in enumerate(confusion["cells"])}
    for block in confusion["blocks"]:
        lines = []
        for i in block:
            total = max(int(matrix[i].sum()), 1)
            cells = []
            for j in block:
                found = place.get((i, j))
                path = None if found is None else f"/fails/confusion/cells/{found}/2"
                kind = "" if found is None else "ok" if i == j else "off"
                cells.append({"path": path, "kind": kind, "strength": round(0.15 + 0.5 * matrix[i, j] / total, 2)})
            lines.append({"name": confusion["classes"][i], "cells": cells})
        yield {"names": [confusion["classes"][i] for i in block], "lines": lines}


def _facts(told: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in told.items():
        name = WORDS.get(f"fact_{key}", f"{before}{key}".replace("_", " "))
        if isinstance(value, Mapping):
            found += _facts(value, f"{before}{key} · ")
        elif value not in (None, "", []) and key != "name":
            shown = ", ".join(map(str, value)) if isinstance(value, list) else _fact(key, value)
            found.append((name, shown if len(shown) <= 400 else shown[:400] + " …"))
    # What is told twice, as the width in a store and in its fingerprint, is shown once.
    return list(dict.fromkeys(found))


def _fact(key: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if key in ("bytes", "memory", "peak_memory"):
        return size(value)
    if key == "seconds":
        return seconds(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _foot(document: Document, slim: PageBudget, limit: int) -> str:
    pictures = document.get("pictures") or {"made": 0, "left_out": 0}
    more = WORDS["foot_more"].format(n=pictures["left_out"]) if pictures["left_out"] else ""
    told = WORDS["foot"].format(version=document["featx"], n=pictures["made"], more=more)
    if pictures.get("n_missing"):
        told += " " + WORDS["foot_missing"].format(n=f"{pictures['n_missing']:,}")
    if slim.steps:
        what = "; ".join(left_out(slim))
        told += " " + WORDS["foot_left_out"].format(limit=f"{limit / 1e6:g}", what=what)
    return told


def left_out(slim: PageBudget) -> list[str]:
    """What a page does not show to stay small, in words; of two such limits on one thing, the tighter."""
    steps = [name for name, _ in STEPS if name in slim.steps]
    return [WORDS[f"slim_{name}"] for name in steps if TIGHTER.get(name) not in steps]
