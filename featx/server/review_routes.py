"""`/v1/review`, `/v1/duplicates` and `/v1/decisions`: what needs a person, and what people decided."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Header, Query, Request
from pydantic import StringConstraints
from starlette.responses import Response

from featx.audit import DuplicateGroup, LabelIssue
from featx.errors import FeatxError, did_you_mean
from featx.labels.decision_log import UNDO, Decision, DecisionLog, now
from featx.labels.decisions import CHANGE, decided
from featx.server.answers import ItemRecord, Share, item_record, json_answer
from featx.server.findings import Doubt, copies, doubted_answers, doubted_labels
from featx.server.generations import Generation
from featx.server.jobs import Progress
from featx.server.problems import Problem
from featx.server.requests import ID, answers, needs, service_of
from featx.server.service import Service, in_thread
from featx.server.tokens import READ, REVIEW, Caller

router = APIRouter(tags=["review"])
Reader = Annotated[Caller, Depends(needs(READ))]
Reviewer = Annotated[Caller, Depends(needs(REVIEW))]
Key = Annotated[str, StringConstraints(pattern=r"^[\w.:-]{1,100}$")]


class Queue(StrEnum):
    """What a person may work through."""

    labels = "labels"
    doubts = "doubts"


@dataclass(frozen=True)
class ReviewCase:
    """One photo that needs a person: its label, what else it may be, and why."""

    item: ItemRecord
    suggestions: list[Share]
    why: str
    # For a label: how many of its look-alikes have the suggested one.
    agree: int | None = None
    of: int | None = None


@dataclass(frozen=True)
class ReviewAnswer:
    """The cases, most urgent first; `state` is `working` until they are found, and `done` says how far that is."""

    generation: str
    state: str
    done: float
    total: int
    # How much of it has been decided already.
    decided: int
    cases: list[ReviewCase]


@dataclass(frozen=True)
class DuplicateCase:
    """Photos that are the same, or nearly so."""

    kind: str
    score: float
    labels: list[str]
    items: list[ItemRecord]


@dataclass(frozen=True)
class DuplicatesAnswer:
    """Groups of copies, most alike first."""

    generation: str
    state: str
    done: float
    total: int
    groups: list[DuplicateCase]


class Verdict(StrEnum):
    """What a person may decide about a photo."""

    keep = "keep"
    change = "change"
    exclude = "exclude"


@dataclass(frozen=True)
class NewDecision:
    """A decision about one photo; `digest` refuses it where the photo has changed since it was shown."""

    id: ID
    decision: Verdict
    new_label: Annotated[str, StringConstraints(max_length=500)] = ""
    digest: Annotated[str, StringConstraints(max_length=64)] = ""


@dataclass(frozen=True)
class DecisionRecord:
    """A decision as it was taken."""

    key: str
    id: str
    decision: str
    says: str
    new_label: str
    when: str
    who: str
    undone: bool = False


@dataclass(frozen=True)
class DecisionsAnswer:
    """Decisions, the newest first, and how many of each kind are in force."""

    total: int
    counts: dict[str, int] = field(default_factory=dict)
    decisions: list[DecisionRecord] = field(default_factory=list)


@router.get("/v1/review", responses=answers(ReviewAnswer, later=True))
async def review(
    request: Request,
    caller: Reader,
    queue: Annotated[Queue, Query(description="Labels that look wrong, or unlabelled photos in doubt.")] = Queue.labels,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Response:
    """What needs a person, most urgent first; found in the background, so ask again while it says `working`."""
    service = service_of(request)
    return _while_working(await in_thread(_review, service, service.now, queue, limit))


@router.get("/v1/duplicates", responses=answers(DuplicatesAnswer, later=True))
async def duplicates(request: Request, caller: Reader, limit: Annotated[int, Query(ge=1, le=500)] = 100) -> Response:
    """Photos that are the same or nearly so; found in the background, as above."""
    service = service_of(request)
    return _while_working(await in_thread(_duplicates, service, service.now, limit))


@router.post("/v1/decisions", status_code=201, responses=answers(DecisionRecord, 201))
async def decide(
    request: Request,
    caller: Reviewer,
    wanted: Annotated[NewDecision, Body()],
    idempotency_key: Annotated[Key | None, Header()] = None,
) -> Response:
    """Decide about a photo; once this is answered, the decision is on the disk and in force."""
    service = service_of(request)
    line = _decision(service.now, wanted, idempotency_key or secrets.token_hex(12), caller)
    return json_answer(_record(await in_thread(_take, service, line)), 201)


@router.delete("/v1/decisions/{key}", responses=answers(DecisionRecord))
async def take_back(request: Request, key: Key, caller: Reviewer) -> Response:
    """Undo a decision; what was decided about the photo before is in force again."""
    service = service_of(request)
    return json_answer(_record(await in_thread(service.decisions.undo, key, caller.name)))


@router.get("/v1/decisions", responses=answers(DecisionsAnswer))
async def decisions(request: Request, caller: Reader, limit: Annotated[int, Query(ge=0, le=500)] = 50) -> Response:
    """The decisions taken here."""
    return json_answer(await in_thread(_listed, service_of(request).decisions, limit))


def _while_working(answer: ReviewAnswer | DuplicatesAnswer) -> Response:
    working = answer.state == "working"
    return json_answer(answer, 202 if working else 200, {"Retry-After": "1"} if working else {})


def _review(service: Service, generation: Generation, queue: Queue, limit: int) -> ReviewAnswer:
    find = {Queue.labels: _doubted_labels, Queue.doubts: _doubted_answers}[queue]
    job = service.jobs.job((generation.name, queue), partial(find, service, generation))
    cases: Sequence[ReviewCase] = job.ready() or ()
    settled = {fix.key for fix in decided()}
    left = [case for case in cases if (case.item.id, case.item.digest) not in settled]
    return ReviewAnswer(generation.name, job.state, job.share, len(cases), len(cases) - len(left), left[:limit])


def _doubted_labels(service: Service, generation: Generation, progress: Progress) -> list[ReviewCase]:
    issues: list[LabelIssue] = service.processes.run(doubted_labels, service.settings, progress=progress)
    return [
        ReviewCase(item, [Share(issue.looks_like, issue.probability)], issue.why, issue.agree, issue.neighbours)
        for issue in issues
        if (item := _still(generation, issue.item_id, issue.digest)) is not None
    ]


def _doubted_answers(service: Service, generation: Generation, progress: Progress) -> list[ReviewCase]:
    doubts: list[Doubt] = service.processes.run(doubted_answers, service.settings, progress=progress)
    return [
        ReviewCase(item, [Share(label, round(share, 4)) for label, share in doubt.top], doubt.why)
        for doubt in doubts
        if (item := _still(generation, doubt.item_id, doubt.digest)) is not None
    ]


def _still(generation: Generation, item_id: str, digest: str) -> ItemRecord | None:
    """The item of a finding, in the catalogue that answers; it may be newer or older than the one that was read."""
    rows = generation.index.rows
    known = [row for row in rows.ids.rows_of(item_id)[:1] if rows.digests[row] == digest]
    return item_record(rows, known[0]) if known else None


def _duplicates(service: Service, generation: Generation, limit: int) -> DuplicatesAnswer:
    def work(progress: Progress) -> list[DuplicateGroup]:
        return service.processes.run(copies, service.settings, progress=progress)

    job = service.jobs.job((generation.name, "duplicates"), work)
    out = {fix.key for fix in decided() if fix.decision == "exclude"}
    cases = [_group(generation, group, out) for group in job.ready() or ()]
    left = [case for case in cases if len(case.items) > 1]
    return DuplicatesAnswer(generation.name, job.state, job.share, len(left), left[:limit])


def _group(generation: Generation, group: DuplicateGroup, out: set[tuple[str, str]]) -> DuplicateCase:
    """A group without the photos that somebody has left out since."""
    left = [picture for picture in group.pictures if (picture.item_id, picture.digest) not in out]
    items = [item for picture in left if (item := _still(generation, picture.item_id, picture.digest)) is not None]
    return DuplicateCase(group.kind, round(group.score, 4), group.labels, items)


def _decision(generation: Generation, wanted: NewDecision, key: str, caller: Caller) -> Decision:
    """The line of the log; refused where it makes no sense for the catalogue of now."""
    rows = generation.index.rows
    known = rows.ids.rows_of(wanted.id)
    if not known:
        raise Problem(404, "not-in-store", f"no item `{wanted.id[:200]}`", "decisions name items, not products")
    digest, says = rows.digests[known[0]], rows.label_of(known[0]) or ""
    if wanted.digest and wanted.digest != digest:
        raise Problem(409, "photo-changed", "the photo has changed since it was shown", "look at it again")
    if wanted.decision == CHANGE and wanted.new_label not in rows.label_names:
        hint = did_you_mean(wanted.new_label, rows.label_names, "`/v1/catalogue` lists them")
        raise Problem(400, "bad-flag", f"`{wanted.new_label}` is not a category", hint)
    new_label = wanted.new_label if wanted.decision == CHANGE else ""
    return Decision(key, wanted.id, digest, wanted.decision.value, says, new_label, now(), caller.name)


def _take(service: Service, line: Decision) -> Decision:
    try:
        return service.decisions.decide(line)
    except FeatxError as error:
        if error.code == "duplicate-id":
            raise Problem(409, "key-reused", error.message, error.hint) from error
        raise


def _record(line: Decision, undone: bool = False) -> DecisionRecord:
    return DecisionRecord(
        line.key,
        line.id,
        line.decision,
        line.says,
        line.new_label,
        line.when,
        line.who,
        undone or line.decision == UNDO,
    )


def _listed(log: DecisionLog, limit: int) -> DecisionsAnswer:
    lines = list(log)
    undone = {line.undoes for line in lines}
    taken = [line for line in lines if line.decision != UNDO]
    counts = Counter(line.decision for line in taken if line.key not in undone)
    newest = [_record(line, line.key in undone) for line in taken[::-1][:limit]]
    return DecisionsAnswer(len(taken), dict(counts), newest)
