"""The driver of a training run.

`train` is the function that users call. `loop` runs the epochs, `trainer` calls the kernels, and
`progress` tracks the position between calls. A run takes `optimizers`, `schedules`, `callbacks`,
`orders` and `lbfgs`. It produces `history` and `checkpoints`.

May import: files, jit, kernels, network, simd, tables.

Used above: callbacks, divergence, history, loop, optimizers, orders, schedules, train, trainer.
"""
