"""Checks of gradients, of the contract of ops, and of results.

- ``gradients``: the gradients of a network; ``registered``: those of every registered type, and of a plugin's types;
- ``method``: the contract of a method; ``methods/``: one a file; ``objective``: the derivatives they compare;
- ``complex_step`` and ``continuation``, ``rounding``: exact derivatives by values alone, and how far values round;
- ``rules``: which op is wrong; ``formulas``: optimizers, averages and initializers;
- ``mutation`` and ``mutation_score``: rules broken on purpose, and how many a check notices;
- ``promises/``: the contract of ops beyond their gradients;
- ``result``: what a check returns; ``requirements``: ``--require``.
"""
