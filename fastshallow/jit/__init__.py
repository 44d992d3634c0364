"""How a kernel is compiled, kept on disk, called and interrupted. Nothing numeric.

`compile` makes every kernel, `linking` lets compiled code call kernels through pointers,
`argument_types` and `refusals` refuse what users pass wrongly, `threads` and `pace` choose how many
threads work, and `interrupts` holds Ctrl-C back until a step is done.

May import: nothing.

Used above: argument_types, compile, interrupts, linking, pace, refusals, threads.
"""
