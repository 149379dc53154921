"""Arrays from files: formats, splits, transforms fitted on the train split, and generated sets.

::

    settings   the YAML section `data`                    sections          the sections inside it
    file       a data file: opening, lines, sha256        formats/          one file a format: csv, parquet, images, ...
    format     the contract of a format                   folder, pixels    folders of images, and image files
    reading    the keys that say how files are read       spelling          spellings of numbers
    columns    cells to typed columns                     table             named columns with the line of each row
    read       a file to a table                          sources           the tables that the settings name
    split      which row goes to which split              augment           random changes of training images
    features   inputs of the network                      target            its targets
    transform  both, and as JSON                          fit, fitted       fitting it; checks of one from a file
    examples   arrays of a split, windows, all splits     dataset           load_dataset, load_split, load_inputs
    stream     inputs in chunks for predictions           synthetic         generated sets
    times      dates and times as files spell them        panel             rows sorted, series by series
    series     windows over rows in time                  series_order      warnings on rows out of order
    tokenizer  text to numbers and back                   text_examples     windows over the tokens of a text
    refusals   messages on numbers that cannot be read    suspicious        warnings on data that looks wrong
"""
