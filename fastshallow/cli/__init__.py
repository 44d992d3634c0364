"""The ``fastshallow`` command.

`train` is ``fastshallow train``: `options` says what to do, `prepare` turns a table into arrays,
`split` chooses the rows held out, `guards` refuses what cannot be learnt, `fit` trains, `scoring`
scores, and `report` tells. `use_model` is all other commands; `model_input` reads their tables;
`common` is what all share. `fastshallow.__main__` reads the command line.

May import: estimators, files, jit, kernels, network, tables, training.

Used above: options. `fastshallow.__main__` imports a command by name when it is run.
"""
