"""What may be learned from, and how it is divided.

decisions     what people decided about doubtful labels
decision_log  decisions taken on the page, durably and with undo
seen          what a tuned network learned from, which no score may count
training_set  rows with labels, and what is held out
some_products  a store of some of the products
folds         folds that keep the photos of one product together
"""
