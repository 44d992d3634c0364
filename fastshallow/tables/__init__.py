"""Tables: reading, encoding as X and Y, predictions and their scores.

`read` reads files to a `read_table`, by the options of `reading`. `csv_text` parses a CSV, at which
`second_look` looks again; `parquet` reads Parquet. `words` says which words are numbers. `frames`
takes columns from data frames and records. `values` reads a column, `dates` dates. `columns`
encodes columns as X, `targets` the target as Y. `pipeline` holds a network with its columns.
`described` validates the description of a column or target. `scores` computes scores of
predictions, which `scores_text` shows, `importance` those of columns. `formulas` disarms text
before it is written. `mistakes` holds the error class for mistakes of the user.

May import: jit, kernels, network.

Used above: columns, formulas, importance, mistakes, pipeline, read, read_table, reading, scores,
scores_text, values, words.
"""
