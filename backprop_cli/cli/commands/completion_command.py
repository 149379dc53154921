"""``bp completion``."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Literal

from typer import Argument, Context

from backprop_cli.cli.command import command
from backprop_cli.cli.terminal import emit

Shell = Literal["bash", "zsh", "fish"]
INSTALLATION = """To install, run the two lines of your shell, and open a new one:
  bash  bp completion bash > ~/.bp-completion.bash
        echo 'source ~/.bp-completion.bash' >> ~/.bashrc
  zsh   bp completion zsh > ~/.bp-completion.zsh
        echo 'autoload -Uz compinit && compinit && source ~/.bp-completion.zsh' >> ~/.zshrc
  fish  mkdir -p ~/.config/fish/conf.d
        bp completion fish > ~/.config/fish/conf.d/bp-completion.fish"""


@command("bp completion bash > bp-completion.bash", notes=INSTALLATION)
def completion(context: Context, shell: Annotated[Shell, Argument(metavar="SHELL", help="bash, zsh or fish.")]) -> None:
    """Print a script that completes command lines in a shell."""
    from backprop_cli.cli.candidates import every_command

    root = context.find_root()
    # Another program may be called bp; backprop-cli is always this one.
    programs = ["bp", "backprop-cli"] if root.info_name == "bp" else ["backprop-cli"]
    emit(import_module(f"backprop_cli.cli.shells.{shell}").script(programs, every_command(root)))
