"""Training the last blocks of a network on one's own categories, and whether that pays.

options       the flags of `featx tune` as one record
events        what a run reports on its way
frozen        the network to begin from, and what it makes of the labelled photos
photos        which photos are learned from, and which only judge
activations   the output at the cut, kept on disk for every view of every photo
filling       views of photos through an encoder, once
front         the front of a network as an encoder, so that the one stream of photos runs it
tail          the part that is trained, and its head from a linear discriminant analysis
schedules     rates over time, and which parameters get which
levels        a second head, for a column of the table
teaching      another network's answers to the same views
unlabelled    photos without categories
adapting      the statistics of batch normalisation, measured again elsewhere
scratch       the same steps from random numbers
robustness    the same photos, worse
search        the best of several recipes, by short trainings on the same activations
losses        what a training makes smaller: doubt about categories, or the distance of look-alikes
lookalikes    whether the most similar photo of another product is of the same category
training      one training: epochs, early stopping, averages
checkpoints   a training that was killed goes on
processes     several processes that train one network
judging       categories from features, scored on photos that only judge
nodes         several layers of the frozen network, from what is kept at the cut
ladder        the ways that were tried, the cheapest first, and which one wins
folds         networks that each leave products out, for fair answers on all photos
tables        what only some runs measured, on the card's page
publishing    weights and card in place
tracking      what a training reports, kept as JSON lines and sent to trackers
updating      a tuned network learns from new photos too
outcome       what a tuning changed, and where its network is
work          what one tuning is about, for everything that takes part in it
cutting       the network cut in two, once the cache has what its front gives
trainer       one network trained, with a search, a teacher or more photos beside
climbing      the rungs that are tried
verdict       the verdict, the card, and the files where it pays
run           all of it, in order
transformer   the same as a step of a scikit-learn pipeline
"""

from __future__ import annotations

from featx.finetuning.options import TuneOptions
from featx.finetuning.outcome import Tuned
from featx.finetuning.run import tune

__all__ = ["TuneOptions", "Tuned", "tune"]
