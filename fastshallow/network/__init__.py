"""`Network`, and what is asked of one.

`network` is the class, `views` are its W1, b1, ... and gradients, `initialization` draws its
weights, `problem` holds the arguments of a cost, `checks` says what is wrong with an argument.
`gradient_check`, `diagnostics` and `plotting` look into a network.

May import: jit, kernels, simd.

Used above: checks, diagnostics, gradient_check, initialization, network, plotting, problem, views.
"""
