"""What may be learned, and what is held out."""

from __future__ import annotations

from featx.labels.training_set import training_set_of


def test_what_may_be_learned_never_holds_a_held_out_picture(colour_shop):
    lesson = training_set_of(colour_shop)
    assert {colour_shop.splits[i] for i in lesson.learn} == {"train"}
    assert {colour_shop.splits[i] for i in lesson.held.rows} == {"test"}
