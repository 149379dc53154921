"""``python -m backprop_cli``: the command ``bp``."""

from backprop_cli.cli.entry import main

if __name__ == "__main__":
    main()
