"""The driver of a training run.

`train` is the function that users call. `loop` are its epochs, `trainer` calls the kernels, and
`progress` says how far they came. A run is given `optimizers`, `schedules`, `callbacks`, `orders`
and `lbfgs`. It leaves `history` and `checkpoints`.

May import: files, jit, kernels, network, tables.

Used above: callbacks, history, loop, optimizers, orders, schedules, train, trainer.
"""
