"""From a table to numbers, and back.

`read` reads files, `columns` turns columns into X and Y, `pipeline` keeps a network with its
columns, `described` checks a description from a file, `scores` judges predictions, and `mistakes`
are those that a user can mend.

May import: jit, kernels, network.

Used above: columns, mistakes, pipeline, read, scores.
"""
