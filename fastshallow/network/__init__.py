"""`Network`: parameters, predictions, costs, gradients, checks and plots.

`network` is the class. `views` holds its W1, b1, ... and its gradients. `initialization` draws its
weights. `problem` holds the validated arguments of a cost. `checks` validates all arguments.
`gradient_check`, `diagnostics` and `plotting` inspect a network.

May import: jit, kernels, simd.

Used above: checks, diagnostics, gradient_check, initialization, network, plain, plotting,
problem, views.
"""
