"""How a kernel is compiled, kept on disk, called and interrupted. Nothing numeric.

`compile` compiles every kernel and caches it on disk. `linking` lets compiled code call kernels
through pointers. `prebuilt` finds kernels that were compiled ahead of time. `machine_code` is the
form of kernels in files. `argument_types` and `refusals` reject wrong arguments. `threads` and
`pace` choose the number of threads. `interrupts` delays Ctrl-C until a step is done.

May import: nothing.

Used above: argument_types, compile, interrupts, linking, machine_code, pace, prebuilt, refusals,
threads.
"""
