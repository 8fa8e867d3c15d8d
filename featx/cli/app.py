"""The entry point of `featx`: run one command, and turn an error into a sentence and an exit code."""

from __future__ import annotations

import errno
import os
import sys
import traceback

from featx.errors import FeatxError


def main() -> None:
    """Run one command; an error becomes a sentence on stderr and an exit code."""
    as_json = "--json" in sys.argv
    verbose = "-v" in sys.argv or "--verbose" in sys.argv
    try:
        _open_streams()
        _read_names_as_utf8()
        for stream in (sys.stdout, sys.stderr):
            # File names may hold bytes that are not UTF-8; printing one must not end the command.
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        try:
            _run(sys.argv[1:])
        except SystemExit:
            sys.stdout.flush()
            raise
    except FeatxError as error:
        _show(error, as_json=as_json, verbose=verbose)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except MemoryError:
        _show(
            FeatxError("out-of-memory", "this machine ran out of memory", "try a smaller `--batch-size`"),
            as_json=as_json,
        )
        sys.exit(6)
    except Exception as error:  # noqa: BLE001
        reported = _system_limit(error) or _bug(error)
        _show(reported, as_json=as_json, verbose=verbose)
        sys.exit(reported.exit_code)


def _run(words: list[str]) -> None:
    completing = "_FEATX_COMPLETE" in os.environ
    if not completing and (not words or words in (["--help"], ["-h"])):
        from featx.cli.help_page import front_page

        print(front_page(), flush=True)
        sys.exit(0 if words else 2)
    from featx.cli.typer_app import command, settings

    command(words[0] if words else None)(prog_name="featx", default_map=settings())


def _read_names_as_utf8() -> None:
    """Restart in Python's UTF-8 mode where the locale would decode file names in another way.

    Otherwise a store written in one locale would not find its photos in another.
    """
    words = sys.orig_argv
    already = sys.getfilesystemencoding() == "utf-8" or os.environ.get("PYTHONUTF8") == "1"
    if already or not sys.executable or words[len(words) - len(sys.argv) + 1 :] != sys.argv[1:]:
        return
    environment = {**os.environ, "PYTHONUTF8": "1"}
    if sys.stdout.isatty():
        # The terminal keeps its own encoding.
        environment.setdefault("PYTHONIOENCODING", sys.stdout.encoding)
    os.execve(sys.executable, [sys.executable, *words[1:]], environment)


def _open_streams() -> None:
    """Open /dev/null for each closed stream; otherwise the next opened file, perhaps a store, would take its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number is this one
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: PTH123, SIM115


def _system_limit(error: Exception) -> FeatxError | None:
    """A full disk or an overlong name is not a bug, wherever it is met."""
    if not isinstance(error, OSError):
        return None
    if error.errno == errno.ENAMETOOLONG:
        return _too_long(error)
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return None
    target = f"`{error.filename}`" if error.filename else "the output"
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would try again at exit
    return FeatxError("disk-full", f"cannot write {target}: {error.strerror}", "free some space and run it again")


def _too_long(error: OSError) -> FeatxError:
    name = os.path.basename(str(error.filename or ""))
    shown = name if len(name) <= 40 else f"{name[:40]}…"
    return FeatxError("bad-flag", f"`{shown}` is too long for a file name ({len(name):,} characters)", "shorten it")


def _bug(error: Exception) -> FeatxError:
    from featx.workspace import Workspace

    log = Workspace.here().log
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"featx {' '.join(sys.argv[1:])}\n{_trace()}\n")
        hint = f"the traceback is in {log}; please include it in your report"
    except OSError:
        hint = "run it again with `--verbose` to see the traceback"
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    return FeatxError("bug", f"featx broke in `{command}` ({type(error).__name__}: {error})", hint)


def _trace() -> str:
    from featx.cli.output import without_steering

    return without_steering(traceback.format_exc())


def _show(error: FeatxError, *, as_json: bool, verbose: bool = False) -> None:
    if verbose:
        print(_trace(), end="", file=sys.stderr)
    if as_json:
        from featx.cli.output import json_line

        shown = {
            "code": error.code,
            "message": error.message,
            "hint": error.hint,
            "exit": error.exit_code,
            "details": error.details,
        }
        print(json_line({"error": shown}, sys.stderr), file=sys.stderr)
        return
    from featx.cli.output import error_text

    print(error_text(error.message, error.hint), file=sys.stderr)
