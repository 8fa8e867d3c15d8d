"""Features and labels in, a calibrated classifier with a card out.

spec          the shape of a classifier's record, and the settings of one training
kinds/        the classifiers there are, one record each
pipelines     settings -> a scikit-learn pipeline
solvers/      the fast estimators
tuning        which settings suit these features
coarsening    coarse categories answered by a classifier of finer ones
calibration   scores -> probabilities
label_noise   which labels are wrong, and how likely each is
thresholds    when an answer may stand without a person
recall_thresholds  when a photo may be of a category that must not be missed
novelty       unlike anything in training?
cross_validation  scores of every photo from a classifier that did not know its product
suited_blocks  which parts of a joined backbone suit these categories?
fair_scores   scores of photos that a tuned network learned from, by trainings that left them out
selection     which classifier suits these features?
fit           all of it in order: cross-validate, train, calibrate, assess, write the card
card          what it learned from and how good it is
columns/      titles, prices and read text beside the photo
saved_pipelines  a pipeline as arrays and back
encoding      classifier <-> bytes: arrays in safetensors and a typed header
projections   rows to scores and along directions, for fitted and saved classifiers alike
answering     answers of saved linear classifiers without scikit-learn
verification  the checks of arrays that come from a file
persistence   the files on disk
model         a trained classifier in memory
registry      the classifiers of this workspace
unlearning    a saved classifier as it would be without some products
sample_cost   what learning from some of the products only costs
freshness     has its store changed since it was trained?
listing       what their cards say, and which are damaged
promotion     does a new classifier replace the old one?
"""

# Settings find the record of their classifier wherever they are made.
from featx.classifiers import kinds as kinds
