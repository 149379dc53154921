"""What is compared with what. ``--cases`` picks comparisons by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.cases import DENSE, AnyCase, Case
from benchmarks.command import ROOT, Command, bp, script
from benchmarks.compilation import CACHED, READY, Compilation
from benchmarks.families import FAMILIES, draw
from benchmarks.jobs import JOBS, commands
from benchmarks.jobs import ROUNDS as JOB_ROUNDS
from benchmarks.networks import NETWORKS, NetworkCase, described
from benchmarks.participant import Participant
from benchmarks.peers import BP, EAGER, LAYERED, PEERS, THREADS
from benchmarks.worker import Worker

STEP, EPOCH, PROCESS, COMPILATION = "step", "epoch", "process", "compilation"
DEPTHS = (2, 4, 8, 16, 32, 64)
BATCHES = (1, 8, 64, 512, 4096)
SHARED = (
    ((4, 16, 16, 3), 32),
    ((64, 128, 64, 10), 64),
    ((64, 128, 64, 10), 512),
    ((784, 100, 10), 64),
    ((784, 512, 256, 10), 128),
    ((784, 512, 256, 10), 512),
)
"""Networks and batches on both sides of the rule for threads."""
LAYERS = {
    "convolutions": ("convolutions", 64, "5x5x16, pool, 5x5x32, pool, 10 on 28x28"),
    "lenet-64": ("lenet", 64, "LeNet-5 on 28x28"),
    "lenet-256": ("lenet", 256, "LeNet-5 on 28x28"),
    "gru": ("gru", 64, "GRU of width 128, 32 steps"),
    "transformer": ("transformer", 12, "characters: 4 blocks, 4 heads, width 128, context 64"),
    "batch_norm": ("batch_norm", 128, "256-256-256-256-10 with batch_norm"),
    "layer_norm": ("layer_norm", 128, "256-256-256-256-10 with layer_norm"),
    "images": ("images", 64, "four 3x3 convolutions with batch_norm on 3x32x32"),
    "lstm": ("lstm", 64, "two LSTM layers of 64, 100 steps"),
    "text": ("text", 64, "embedding, conv1d 5, global max pool, 128 tokens"),
    "wide": ("wide", 256, "512-1024-1024-1024-10"),
    "residual": ("residual", 32, "ten residual blocks of width 32"),
    "gelu_silu": ("gelu_silu", 256, "four layers of 256 with layer_norm, gelu or silu, dropout"),
}
"""Networks of other layers than dense ones by the name of their comparison: network, batch, title."""
_STEPS = 16
"""Batches an epoch of these."""


@dataclass(frozen=True)
class Comparison:
    """Lines that are timed alternately; ratios are ``line / baseline`` within a round.

    ``lines(seconds)`` makes them, by name; ``unit``: what a time is the time of. ``most_rounds``: fewer than asked for,
    where a round takes a minute.
    """

    name: str
    title: str
    unit: str
    baseline: str
    lines: Callable[[float], dict[str, Participant]]
    most_rounds: int | None = None


def _training(name: str, case: Case) -> Comparison:
    def lines(seconds: float) -> dict[str, Participant]:
        return {peer: Worker(peer, case, seconds) for peer in PEERS}

    return Comparison(name, f"{_network(case.sizes)}, batch {case.batch}", STEP, BP, lines)


def _layered(name: str) -> Comparison:
    return _network_steps(name, LAYERS[name][-1], _layers(name), LAYERED)


def _network_steps(name: str, title: str, case: NetworkCase, peers: Sequence[str]) -> Comparison:
    def lines(seconds: float) -> dict[str, Participant]:
        return {peer: Worker(peer, case, seconds) for peer in peers}

    return Comparison(name, f"{title}, batch {case.batch}", STEP, BP, lines)


def drawn(count: int, seed: int) -> list[Comparison]:
    """The first ``count`` draws of every family, such as ``family-dense-07``."""
    return [_drawn(family, number, seed) for family in FAMILIES for number in range(1, count + 1)]


def _drawn(family: str, number: int, seed: int) -> Comparison:
    network, batch = draw(family, number, seed)
    case = NetworkCase(network, batch, examples=_STEPS * batch)
    title = f"{'x'.join(map(str, network.input))}: {described(network.layers)}"
    return _network_steps(f"family-{family}-{number:02}", title, case, (BP, *EAGER))


def _layers(name: str) -> NetworkCase:
    network, batch, _ = LAYERS[name]
    return NetworkCase(NETWORKS[network], batch, examples=_STEPS * batch)


def _network(sizes: tuple[int, ...]) -> str:
    return "-".join(str(size) for size in sizes)


def _depth() -> Comparison:
    def lines(seconds: float) -> dict[str, Participant]:
        return {f"depth-{depth}": _deep(depth, seconds) for depth in DEPTHS}

    return Comparison("depth", "64 relu units a layer, 10 outputs, batch 64, bp alone", STEP, "depth-4", lines)


def _deep(depth: int, seconds: float) -> Worker:
    worker = Worker(BP, Case((64,) * depth + (10,), batch=64, examples=1024), seconds)
    worker.title = f"{depth} dense layers"
    return worker


def _threads(name: str, title: str, case: AnyCase) -> Comparison:
    def lines(seconds: float) -> dict[str, Participant]:
        return {peer: Worker(peer, case, seconds) for peer in ("bp_plan", *THREADS)}

    title = f"{title}, batch {case.batch}, bp's plan with its threads"
    return Comparison(f"threads-{name}", title, STEP, "bp_plan", lines)


def _mnist_epoch() -> Comparison:
    case = Case((784, 300, 10), 128, 60_000, mnist=True)
    peers = [name for name in PEERS if name in (BP, "sklearn") or name.startswith(("torch", "jax"))]

    def lines(seconds: float) -> dict[str, Participant]:
        return {peer: Worker(peer, case, 0.0, unit_steps=case.steps_per_epoch) for peer in peers}

    return Comparison("mnist-epoch", "784-300-10, batch 128, an epoch of 60,000 examples", EPOCH, BP, lines)


def _iris() -> Comparison:
    def lines(seconds: float) -> dict[str, Participant]:
        data = str(ROOT / "datasets" / "iris.csv")
        return {
            BP: bp("train", str(ROOT / "configs" / "iris.yaml")),
            "torch_script": script("iris_torch.py", data),
            "sklearn_script": script("iris_sklearn.py", data, needs="sklearn"),
        }

    return Comparison("iris-process", "iris, 50 epochs, from the shell and back", PROCESS, BP, lines)


def _job(name: str) -> Comparison:
    title = f"{JOBS[name].title}, from the shell and back"
    return Comparison(f"jobs-{name}", title, PROCESS, BP, lambda seconds: commands(JOBS[name]), most_rounds=JOB_ROUNDS)


def _compilation() -> Comparison:
    def lines(seconds: float) -> dict[str, Participant]:
        names = [(name, is_cached) for name in (*DENSE, *READY) for is_cached in (False, True)]
        return {f"{name}{CACHED * is_cached}": Compilation(name, is_cached) for name, is_cached in names}

    title = "steps compiled, in a process with an empty cache and in one with a full one"
    return Comparison("compilation", title, COMPILATION, "tiny", lines, most_rounds=3)


def _help() -> Comparison:
    def lines(seconds: float) -> dict[str, Participant]:
        return {BP: bp("--help"), "typer": Command("import typer", ["-c", "import typer"])}

    return Comparison("help", "bp --help", PROCESS, BP, lines)


def _batch(size: int) -> Comparison:
    # At least 4 steps an epoch, at most 128: a peer that compiles whole epochs cannot do less than one.
    return _training(f"batch-{size}", Case((64, 128, 64, 10), size, size * min(128, max(4, 4096 // size))))


_MAKERS: tuple[Callable[[], Comparison], ...] = (
    *(partial(_training, name, case) for name, case in DENSE.items()),
    _depth,
    *(partial(_batch, size) for size in BATCHES),
    *(
        partial(_threads, f"{_network(sizes)}-{batch}", _network(sizes), Case(sizes, batch, 8 * batch))
        for sizes, batch in SHARED
    ),
    *(partial(_threads, name, LAYERS[name][-1], _layers(name)) for name in LAYERS),
    *(partial(_layered, name) for name in LAYERS),
    _mnist_epoch,
    _iris,
    *(partial(_job, name) for name in JOBS),
    _compilation,
    _help,
)
COMPARISONS = {comparison.name: comparison for comparison in (make() for make in _MAKERS)}
