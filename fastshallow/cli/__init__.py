"""The ``fastshallow`` command.

`train_table` and `train_digits` are ``fastshallow train``, `use_model` all other commands, and
`common` what they share. `fastshallow.__main__` reads the options.

May import: estimators, files, kernels, network, tables, training.

Used above: nothing. `fastshallow.__main__` imports a command by name when it is run.
"""
