"""How file names are read: a regular expression with named groups, or a template such as {product}_{shot}."""

from __future__ import annotations

import re
from pathlib import Path

from featx.catalogue.suffixes import IMAGE_SUFFIXES
from featx.errors import FeatxError


def compile_pattern(pattern: str | None) -> re.Pattern[str] | None:
    """A regular expression with named groups, or a small template such as {product}_{shot}."""
    if pattern is None:
        return None
    template = "(?P<" not in pattern
    text = pattern
    if template:
        if not re.search(r"\{[A-Za-z_]\w*\}", pattern):
            raise FeatxError(
                "bad-pattern",
                f"the pattern `{pattern}` has no named part",
                "write `{product}_{shot}`, or a regular expression with (?P<label>…)",
            )
        stem = pattern[: -len(Path(pattern).suffix)] if Path(pattern).suffix.lower() in IMAGE_SUFFIXES else pattern
        parts = re.split(r"(\{[A-Za-z_]\w*\})", stem)
        text = "".join(
            f"(?P<{p[1:-1]}>[^/]+?)" if p.startswith("{") and p.endswith("}") else re.escape(p) for p in parts
        )
        text = rf"(?:^|/){text}(?:\.[^./]+)?$"
    try:
        return re.compile(text)
    except re.error as error:
        raise FeatxError(
            "bad-pattern", f"the pattern `{pattern}` is not usable: {error}", "check its brackets"
        ) from error


def sku_pattern(pattern: str | None) -> re.Pattern[str] | None:
    """The pattern of names that begin with a SKU, in upper or lower case."""
    compiled = compile_pattern(pattern)
    if compiled is None:
        return None
    if "sku" not in compiled.groupindex:
        raise FeatxError("bad-pattern", "`--image-pattern` does not name the SKU", "write `{sku}_{shot}.jpg`")
    return re.compile(compiled.pattern, re.IGNORECASE)
