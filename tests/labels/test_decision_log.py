"""Decisions taken on the page: on the disk before they are confirmed, in force at once, taken back whole."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from featx.errors import FeatxError
from featx.labels.decision_log import Decision, DecisionLog, now, read_log
from featx.labels.decisions import Fix, decided, labels_after_decisions, record, write
from featx.store import Store, open_store
from tests.conftest import ROOT, command_environment

KILLS = 3


@pytest.fixture
def store(colour_shop: Store, workplace: Path) -> Store:
    shutil.copy(colour_shop.path, workplace / "shop.h5")
    return open_store(workplace / "shop.h5")


def about(store: Store, item: str, decision: str = "keep", new_label: str = "", key: str = "") -> Decision:
    row = store.position(item)
    says = store.labels[row] or ""
    return Decision(key or f"{item}-{decision}", item, store.digests[row], decision, says, new_label, now(), "page")


def test_a_decision_is_in_force_for_every_command_at_once(store: Store):
    DecisionLog(store.path).decide(about(store, "boots0-0", "change", "hats"))
    assert labels_after_decisions(store).labels[store.position("boots0-0")] == "hats"


def test_the_same_key_is_the_same_decision_and_never_another(store: Store):
    log = DecisionLog(store.path)
    first = log.decide(about(store, "boots0-0", "change", "hats", key="a"))
    assert log.decide(about(store, "boots0-0", "change", "hats", key="a")) == first and len(read_log(log.path)) == 1
    with pytest.raises(FeatxError, match="belongs to another decision"):
        log.decide(about(store, "boots0-0", "exclude", key="a"))


def test_undo_brings_back_what_was_decided_before(store: Store):
    row = store.position("boots0-0")
    by_hand = Fix("boots0-0", store.digests[row], "exclude", "boots", "", "by hand")
    Path("artifacts").mkdir()
    write([by_hand], Path("artifacts/fixes.csv"))
    log = DecisionLog(store.path)
    for key, decision, label in (("a", "change", "hats"), ("b", "change", "mugs")):
        log.decide(about(store, "boots0-0", decision, label, key=key))
    log.undo("b", "page")
    assert [fix.new_label for fix in decided()] == ["hats"]
    assert log.undo("b", "page").undoes == "b", "twice is once"
    log.undo("a", "page")
    assert decided() == [by_hand]
    with pytest.raises(FeatxError, match="no decision `z`"):
        log.undo("z", "page")


def test_half_a_line_was_never_confirmed_and_harms_no_other(store: Store):
    log = DecisionLog(store.path)
    log.decide(about(store, "boots0-0"))
    with log.path.open("ab") as file:
        file.write(b'{"key": "half", "id": "boo')
    again = DecisionLog(store.path)
    again.decide(about(store, "hats0-0"))
    assert [line.id for line in read_log(log.path)] == ["boots0-0", "hats0-0"]


def test_what_a_crash_left_out_of_the_fixes_is_put_in_at_the_next_start(store: Store, monkeypatch):
    log = DecisionLog(store.path)
    log.decide(about(store, "boots0-0"))
    with monkeypatch.context() as patch:
        patch.setattr("featx.labels.decision_log.write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            log.decide(about(store, "hats0-0"))
    assert [fix.item_id for fix in decided()] == ["boots0-0"]
    DecisionLog(store.path)
    assert [fix.item_id for fix in decided()] == ["boots0-0", "hats0-0"]


def test_a_line_taken_out_of_the_fixes_by_hand_stays_out(store: Store):
    DecisionLog(store.path).decide(about(store, "boots0-0"))
    write([], Path("artifacts/fixes.csv"))
    DecisionLog(store.path).decide(about(store, "hats0-0"))
    assert [fix.item_id for fix in decided()] == ["hats0-0"]


def test_a_full_disk_refuses_the_decision_and_leaves_no_half_line(store: Store, monkeypatch):
    log = DecisionLog(store.path)
    log.decide(about(store, "boots0-0"))
    whole = log.path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("featx.labels.decision_log.os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "full")))
        with pytest.raises(FeatxError, match="cannot write"):
            log.decide(about(store, "hats0-0"))
    assert log.path.read_bytes() == whole and len(decided()) == 1
    log.decide(about(store, "hats0-0"))
    assert len(decided()) == 2


def test_a_log_can_be_applied_elsewhere_like_any_table(store: Store):
    log = DecisionLog(store.path)
    log.decide(about(store, "boots0-0", "change", "hats", key="a"))
    log.decide(about(store, "hats0-0", "exclude", key="b"))
    log.undo("b", "page")
    elsewhere = Path("elsewhere.csv")
    assert record(log.path, store, elsewhere) == {"change": 1}
    assert [(fix.item_id, fix.new_label) for fix in decided(elsewhere)] == [("boots0-0", "hats")]
    Path("bad.jsonl").write_text('{"id": "boots0-0"}\n')
    with pytest.raises(FeatxError, match=r"line 1 of bad\.jsonl has no `decision`"):
        record(Path("bad.jsonl"), store, elsewhere)


DECIDE = """
import sys
from pathlib import Path
from featx.labels.decision_log import DecisionLog, Decision, now
log = DecisionLog(Path("shop.h5"))
for number in range(10_000):
    key = f"{sys.argv[1]}-{number}"
    log.decide(Decision(key, f"item{number % 50}", "0" * 64, "keep", "", "", now(), "page"))
    print(key, flush=True)
"""


def kill_while_deciding(rounds: int) -> None:
    """Confirmed decisions are all there, in their order, after each kill."""
    confirmed: list[str] = []
    for number in range(rounds):
        process = subprocess.Popen(
            [sys.executable, "-c", DECIDE, str(number)], stdout=subprocess.PIPE, text=True,
            env=command_environment({"PYTHONPATH": str(ROOT)}),
        )  # fmt: skip
        assert process.stdout is not None
        for _ in range(random.Random(number).randrange(1, 30)):
            confirmed.append(process.stdout.readline().strip())
        os.kill(process.pid, signal.SIGKILL)
        confirmed += [line for line in process.communicate()[0].split("\n") if line.startswith(f"{number}-")]
        log = DecisionLog(Path("shop.h5"))
        keys = [line.key for line in log]
        assert [key for key in keys if key in set(confirmed)] == [key for key in confirmed if key]
        assert {fix.item_id for fix in decided()} == {line.id for line in log}


def test_no_confirmed_decision_is_lost_when_the_server_is_killed(store: Store):
    kill_while_deciding(KILLS)


@pytest.mark.long
def test_no_confirmed_decision_is_lost_in_a_hundred_kills(store: Store):
    kill_while_deciding(100)
