"""``bp``: train, check and understand neural networks with nothing heavier than NumPy.

A declared network is traced once into a program of primitive ops; everything else reads that program.
A package imports only packages to its left::

    errors, registry, settings -> autodiff -> nn -> data -> training -> run -> config -> checks -> jobs -> report -> cli

==============  =======================================================================================
``autodiff``    derivatives of array programs: ops, reverse and forward mode, passes, the plan
``nn``          declared networks: layers, activations, losses, optimizers, schedules, metrics
``data``        arrays from files: formats, splits, fitted transforms
``training``    the training step as one program, and the loop that runs it and yields events
``run``         the run directory: checkpoints, journal, run.json
``config``      YAML to checked settings; problems with file, line and column
``checks``      gradient checks of a whole network
``jobs``        what a command does, one function each: the Python API
``report``      events and results for eyes
``cli``         the command line
==============  =======================================================================================
"""

__version__ = "0.1.0"
