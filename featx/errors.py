"""Errors as users read them: a fact, a hint, an exit code."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# Every error name with its exit code: a contract with scripts, to which names are only ever added.
EXIT_CODES: Mapping[str, int] = MappingProxyType(
    {
        "bug": 1,
        "bad-flag": 2,
        "bad-column": 2,
        "bad-config": 2,
        "bad-manifest": 2,
        "bad-pattern": 2,
        "no-such-file": 2,
        "unknown-backbone": 2,
        "unknown-layer": 2,
        "unknown-classifier": 2,
        "path-escapes": 2,
        "no-images": 3,
        "all-corrupt": 3,
        "photo-unreadable": 3,
        "duplicate-id": 3,
        "class-too-small": 3,
        "no-store": 4,
        "no-model": 4,
        "weights-missing": 4,
        "extra-missing": 4,
        "no-text": 4,
        "no-server": 4,
        "no-bank": 4,
        "other-backbone": 5,
        "store-newer": 5,
        "store-broken": 5,
        "store-busy": 5,
        "model-broken": 5,
        "index-broken": 5,
        "index-inexact": 5,
        "index-stale": 5,
        "bank-broken": 5,
        "bank-stale": 5,
        "weights-broken": 5,
        "weights-misfit": 5,
        "torch-mismatch": 5,
        "not-in-store": 5,
        "answers-differ": 5,
        "workers-differ": 5,
        "disk-full": 6,
        "out-of-memory": 6,
        "no-gpu": 6,
        "no-permission": 6,
        "worker-died": 6,
        "too-few-cpus": 6,
        "below-limit": 7,
    }
)


class FeatxError(Exception):
    """An error that the user can fix: what was found and wanted (message), and what to do next (hint).

    The message is one fact, lower case, without a full stop; it may carry two or three lines of evidence.
    """

    def __init__(
        self,
        code: str,
        message: str,
        hint: str = "",
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.details = dict(details or {})

    def __reduce__(self) -> tuple[type[FeatxError], tuple[str, str, str, dict[str, object]]]:
        """Keep all fields when an error travels between processes."""
        return type(self), (self.code, self.message, self.hint, self.details)

    @property
    def exit_code(self) -> int:
        """The exit code of a command that this error stops."""
        return EXIT_CODES[self.code]

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


def closest(word: str, known: list[str] | tuple[str, ...], most: int = 3) -> list[str]:
    """The known names closest to a mistyped one, best first."""
    from difflib import get_close_matches

    lowered = {name.lower(): name for name in known}
    return [lowered[hit] for hit in get_close_matches(word.lower(), list(lowered), n=most, cutoff=0.6)]


def did_you_mean(word: str, known: list[str] | tuple[str, ...], otherwise: str = "") -> str:
    """A hint that offers the closest known names, or `otherwise` where none is close."""
    near = closest(word, known)
    return f"did you mean {' or '.join(f'`{name}`' for name in near)}?" if near else otherwise
