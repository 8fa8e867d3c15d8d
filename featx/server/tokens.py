"""Who may do what: one-time login links for the browser, tokens for programs, and the scopes of both."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from featx.errors import FeatxError, did_you_mean
from featx.files.atomic import cannot_write, write_atomic
from featx.files.locks import one_writer
from featx.files.regular import read_json
from featx.workspace import Workspace

READ, CLASSIFY, REVIEW = SCOPES = ("read", "classify", "review")
COOKIE = "featx-session"
PREFIX = "featx_"
# A browser logs in again after a working day; a link that nobody opened lapses.
SESSION_SECONDS = 12 * 3600.0
LINK_SECONDS = 3600.0
MOST_SESSIONS = 100
NAME = re.compile(r"[\w .@-]{1,64}")


@dataclass(frozen=True)
class Caller:
    """Who asks, and what they may do; a browser with a session may do everything the server allows."""

    name: str
    scopes: frozenset[str]
    by_cookie: bool = False


@dataclass(frozen=True)
class StoredToken:
    """A token as it is kept: its digest, never the token."""

    name: str
    sha256: str
    scopes: list[str]
    made: str


class TokenFile:
    """The tokens of programs, read again when the file changes: a token that is taken out stops at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, int] | None = None
        self._tokens: list[StoredToken] = []

    def add(self, name: str, scopes: Sequence[str]) -> str:
        """Make a token and keep its digest; the token itself is shown once and never again."""
        if not NAME.fullmatch(name):
            raise FeatxError(
                "bad-flag", f"`{name}` cannot name a token", "use up to 64 letters, digits, spaces or . - @"
            )
        for scope in scopes:
            if scope not in SCOPES:
                hint = did_you_mean(scope, SCOPES, f"scopes are {', '.join(SCOPES)}")
                raise FeatxError("bad-flag", f"no scope `{scope}`", hint)
        token = PREFIX + secrets.token_urlsafe(32)
        made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with one_writer(self.path.parent, "tokens"):
            left = [kept for kept in self.tokens() if kept.name != name]
            self._write([*left, StoredToken(name, _digest(token), list(scopes), made)])
        return token

    def remove(self, name: str) -> None:
        """Take a token back."""
        with one_writer(self.path.parent, "tokens"):
            names = [kept.name for kept in self.tokens()]
            if name not in names:
                raise FeatxError("bad-flag", f"no token `{name}` in {self.path}", did_you_mean(name, names))
            self._write([kept for kept in self.tokens() if kept.name != name])

    def tokens(self) -> list[StoredToken]:
        """The tokens there are; a file that cannot be read lets nobody in."""
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            self._stamp, self._tokens = None, []
            return []
        stamp = stat.st_mtime_ns, stat.st_ino
        if stamp != self._stamp:
            self._tokens, self._stamp = self._read(), stamp
        return self._tokens

    def caller(self, token: str) -> Caller | None:
        """Who holds a token; every one is compared, in constant time."""
        wanted, found = _digest(token), None
        for kept in self.tokens():
            if hmac.compare_digest(kept.sha256, wanted):
                found = Caller(kept.name, frozenset(kept.scopes))
        return found

    def _read(self) -> list[StoredToken]:
        try:
            return [StoredToken(**record) for record in read_json(self.path)["tokens"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FeatxError(
                "bad-config", f"{self.path} is no list of tokens", "remove it and make them again: `--add-token NAME`"
            ) from error

    def _write(self, tokens: Sequence[StoredToken]) -> None:
        document = {"schema": "featx-tokens/1", "tokens": [asdict(token) for token in tokens]}
        try:
            write_atomic(self.path, (json.dumps(document, indent=1) + "\n").encode())
            self.path.chmod(0o600)
        except OSError as error:
            raise cannot_write(self.path, error) from error


def tokens_of(workspace: Workspace) -> TokenFile:
    """The tokens of a workspace."""
    return TokenFile(workspace.root / "serve-tokens.json")


class Access:
    """Lets callers in: a browser by a link that works once, a program by its token."""

    def __init__(self, tokens: TokenFile, *, read_only: bool = False) -> None:
        self.tokens, self.read_only = tokens, read_only
        self._links: dict[str, float] = {}
        self._sessions: dict[str, float] = {}
        self._lock = threading.Lock()

    def new_link(self) -> str:
        """A secret that opens one session."""
        secret = secrets.token_urlsafe(32)
        with self._lock:
            self._links[_digest(secret)] = time.monotonic() + LINK_SECONDS
        return secret

    def session(self, secret: str) -> str | None:
        """The cookie for the secret of a link, which lapses with that; None where it is used, old or wrong."""
        with self._lock:
            until = self._links.pop(_digest(secret), 0.0)
            if until < time.monotonic():
                return None
            while len(self._sessions) >= MOST_SESSIONS:
                self._sessions.pop(next(iter(self._sessions)))
            session = secrets.token_urlsafe(32)
            self._sessions[_digest(session)] = time.monotonic() + SESSION_SECONDS
            return session

    def caller(self, authorization: str, session: str) -> Caller | None:
        """Who sends these headers; None for a stranger."""
        kind, _, token = authorization.partition(" ")
        known = self.tokens.caller(token.strip()) if kind.lower() == "bearer" else self._by_session(session)
        if known is None or not self.read_only:
            return known
        return Caller(known.name, known.scopes - {REVIEW}, known.by_cookie)

    def _by_session(self, session: str) -> Caller | None:
        # The table holds digests, so how long a look-up takes says nothing about a secret.
        with self._lock:
            until = self._sessions.get(_digest(session), 0.0) if session else 0.0
        return Caller("page", frozenset(SCOPES), by_cookie=True) if until >= time.monotonic() else None


def _digest(secret: str) -> str:
    """The digest of a secret of 256 random bits, which needs no salt."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
