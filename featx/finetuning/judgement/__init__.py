"""Which photos only judge, and what they say of a network.

division    which photos are learned from, and which only judge
unlabelled  photos without categories
lookalikes  whether the most similar photo of another product is of the same category
judge       categories from features, scored on photos that only judge
"""
