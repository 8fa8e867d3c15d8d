"""Training the last blocks of a network on one's own categories, and whether that pays.

options      the flags of `featx tune` as one record
events       what a run reports on its way
judgement/   which photos only judge, and what they say
cut/         the network in two, and what is kept at the cut
training/    one training of a tail
frozen       the network to begin from, and what it makes of the labelled photos
work         what one tuning is about, for everything that takes part in it
halves       the network cut in two, once the cache has what its front gives
trainer      one network trained, with a search, a teacher or more photos beside
nodes        several layers of the frozen network, from what is kept at the cut
ladder       the ways that were tried, the cheapest first, and which one wins
rungs        the rungs that are tried
folds        networks that each leave products out, for fair answers on all photos
robustness   the same photos, worse
norms        the statistics of batch normalisation, measured again elsewhere
tables       what only some runs measured, on the card's page
files        weights and card in place
trackers     what a training reports, kept as JSON lines and sent to trackers
updates      a tuned network learns from new photos too
outcome      what a tuning changed, and where its network is
verdict      the verdict, the card, and the files where it pays
run          all of it, in order
transformer  the same as a step of a scikit-learn pipeline
"""

from __future__ import annotations

from featx.finetuning.options import TuneOptions
from featx.finetuning.outcome import Tuned
from featx.finetuning.run import tune

__all__ = ["TuneOptions", "Tuned", "tune"]
