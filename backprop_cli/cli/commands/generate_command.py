"""``bp generate``."""

from __future__ import annotations

import contextlib
from typing import Annotated

from typer import Option

import backprop_cli
from backprop_cli.cli.command import CheckpointPath, Json, Plugins, command, resolve_checkpoint
from backprop_cli.cli.terminal import emit_json, write


@command(
    "bp generate runs/names_gru/latest --prompt ma --tokens 40",
    "bp generate runs/names_gru/latest --temperature 0.8 --top-k 5 --seed 1",
    codes=(5,),
    group="Use a trained network",
)
def generate(
    checkpoint: CheckpointPath,
    prompt: Annotated[str, Option("--prompt", metavar="TEXT", help="Beginning of the text.")] = "",
    tokens: Annotated[int, Option("--tokens", metavar="N", help="Number of tokens to add.")] = 500,
    temperature: Annotated[
        float,
        Option("--temperature", metavar="T", help="Below 1 probable tokens gain; 0 always takes the most probable."),
    ] = 1.0,
    top_k: Annotated[
        int | None, Option("--top-k", metavar="K", help="Draw from the K most probable tokens only.")
    ] = None,
    seed: Annotated[
        int, Option("--seed", metavar="N", help="Seed of the random draws; the same seed gives the same text.")
    ] = 0,
    plugins: Plugins = None,
    as_json: Json = False,
) -> None:
    """Continue a text with a network trained on text."""
    written = ""

    def show(text: str) -> None:
        nonlocal written
        if not written:
            text = prompt + text
        write(text)
        written = text

    try:
        result = backprop_cli.generate(
            resolve_checkpoint(checkpoint),
            prompt=prompt,
            tokens=tokens,
            temperature=temperature,
            top_k=top_k,
            seed=seed,
            on_text=None if as_json else show,
            plugins=list(plugins or []),
        )
    except BaseException:
        if written and not written.endswith("\n"):  # whatever is said next begins a line
            with contextlib.suppress(BrokenPipeError):
                write("\n")
        raise
    if as_json:
        emit_json(result.to_json())
    elif not written.endswith("\n"):
        write("\n" if written else f"{prompt}\n")
