"""Vector arithmetic that knows no networks.

`vectors` emits vector instructions, `intrinsics` and `processor` single instructions. They are the
base of the matrix product (`matmul`, which uses `register_tile`), `transpose`, the elementary
functions (`elementary`: exp, log, tanh) and the gathering of rows (`gather`).

May import: jit.

Used above: elementary, gather, intrinsics, matmul, processor, register_tile, transpose, vectors.
"""
