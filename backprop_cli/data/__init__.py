"""Arrays from files: formats, splits, transforms fitted on the train split, and generated sets.

::

    settings   the YAML section `data`            file      a data file: opening, names in messages, sha256
    format     the contract of a format           formats/  one file a format: csv, jsonl, parquet, npz, images, ...
    columns    cells of text to typed columns     table     named columns with the line of each row
    read       a file to a table                  split     which row goes to which split
    sources    the tables that the settings name  extra     packages that only some formats need
    features   inputs of the network              target    what it shall predict
    transform  both, fitted, and as JSON          dataset   load_dataset, load_split
    text       what a cell of text means          tokens    columns of tokens: whole numbers
    tokenizer  text to numbers and back           text_examples   windows over the tokens of a text
    windows    examples that overlap              examples  a split, and all splits
    series     windows over rows in time          pixels    image files to pixels
    panel      rows sorted, series by series      times     dates and times as files spell them
    series_order    warnings on rows that are not in the order of time
    augment    images changed while they are trained on
    precision  values that rounding makes equal
    stream     inputs in chunks for predictions   generate  small synthetic sets
    setting_error   what the settings say of the data and is not so
"""
