"""The body of a request → photos: one as it is, or a form of several."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request

from featx.images import UndecodedPhoto, UnreadablePhoto, open_photo
from featx.server.problems import Problem
from featx.server.settings import Limits

LONGEST_NAME = 200
# The digest of a larger photo takes longer than others may be kept waiting.
QUICK = 2**20
KINDS = ("image/", "application/octet-stream", "multipart/form-data")


@dataclass(frozen=True)
class Upload:
    """One photo of a request, by the name its sender gave it, or why it cannot be used."""

    name: str
    photo: UndecodedPhoto | None = None
    refusal: UnreadablePhoto | None = None


async def uploads_of(request: Request, limits: Limits) -> tuple[list[Upload], bool]:
    """The photos of a request, and whether they came in a form, where each one succeeds or fails for itself."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "multipart/form-data":
            return await _of_form(request, limits), True
        if kind.startswith(KINDS):
            return [await _opened(await request.body(), "photo", limits)], False
    except ClientDisconnect as error:
        raise Problem(400, "bad-request", "the body ended too early", "send it again") from error
    raise Problem(
        415,
        "unsupported-type",
        f"a body of type `{kind[:80] or 'none'}` is no photo",
        "send the file as `image/jpeg`, or several as `multipart/form-data`",
    )


async def _of_form(request: Request, limits: Limits) -> list[Upload]:
    async with _form(request, limits) as files:
        uploads = [
            await _opened(await file.read(limits.photo_bytes + 1), file.filename or "photo", limits) for file in files
        ]
    if not uploads:
        raise Problem(400, "bad-request", "the form has no photo", "send each as a file named `photo`")
    return uploads


@asynccontextmanager
async def _form(request: Request, limits: Limits) -> AsyncIterator[list[UploadFile]]:
    try:
        async with request.form(max_files=limits.photos_in_form, max_fields=8, max_part_size=limits.json_bytes) as form:
            yield [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    except (MultiPartException, HTTPException, KeyError, ValueError, AssertionError) as error:
        words = str(getattr(error, "detail", "") or getattr(error, "message", "") or "it is damaged")
        raise Problem(
            400, "bad-request", f"the form cannot be read: {words}", f"at most {limits.photos_in_form} photos"
        ) from error


async def _opened(data: bytes, name: str, limits: Limits) -> Upload:
    if len(data) <= QUICK:
        return _upload(data, name, limits)
    return await run_in_threadpool(_upload, data, name, limits)


def _upload(data: bytes, name: str, limits: Limits) -> Upload:
    name = "".join(c if c.isprintable() else "�" for c in name)[:LONGEST_NAME]
    if len(data) > limits.photo_bytes:
        detail = f"the limit is {limits.photo_bytes // 2**20} MiB"
        return Upload(name, refusal=UnreadablePhoto(name, "too-large", detail))
    return Upload(name, open_photo(data, name))
