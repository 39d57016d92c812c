"""Which clips of a data set train and which test: published protocols, folds, few labels, unseen classes."""
