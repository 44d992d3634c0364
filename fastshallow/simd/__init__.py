"""Vector arithmetic that knows no networks.

`vectors` knows the processor's vectors, `intrinsics` and `processor` single instructions. On them
stand the matrix product (`matmul`, by way of `register_tile` and `transpose`), the elementary
functions (`elementary`: exp, log, tanh) and the gathering of rows (`gather`).

May import: jit.

Used above: elementary, gather, intrinsics, matmul, processor, register_tile, transpose, vectors.
"""
