"""One training of a tail, and what a recipe may add to it.

losses       what a training makes smaller: doubt about categories, or the distance of look-alikes
schedules    rates over time, and which parameters get which
optimizers   how parameters move: AdamW, Adam, SGD
levels       a second head, for a column of the table
teacher      another network's answers to the same views
checkpoints  a training that was killed goes on
training     one training: epochs, early stopping, averages
scratch      the same steps from random numbers
search       the best of several recipes, by short trainings on the same activations
"""
