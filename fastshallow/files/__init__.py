"""Model files.

`tensor_files` reads and writes safetensors with a checksum. `models` saves and loads a `Network` or
a `Pipeline`.

May import: network, tables.

Used above: models, tensor_files.
"""
