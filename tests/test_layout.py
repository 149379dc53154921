"""The promises of the layout: imports go to the left only, files and printing stay in their packages."""

import ast
import importlib
import inspect
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml

import backprop_cli
import backprop_cli.autodiff

PACKAGE = Path(backprop_cli.__file__).parent
ORDER = [
    "stopwatch",
    "files",
    "visible",
    "number_text",
    "structs",
    "json_object",
    "errors",
    "translations",
    "memory",
    "registry",
    "settings",
    "autodiff",
    "execution",
    "accumulation",
    "nn",
    "data",
    "plugin",
    "training",
    "run",
    "config",
    "checks",
    "session",
    "inspection",
    "exporting",
    "api",
    "report",
    "cli",
    "__main__",
]
PROSE = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs")
MODULES = sorted(PACKAGE.rglob("*.py"))


def place(path: Path) -> str:
    """Where a file lies in the package."""
    return str(path.relative_to(PACKAGE))


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def _part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imported_parts(path: Path) -> set[str]:
    """Parts of the package that a module imports, anywhere in it but in type-checking blocks."""
    names = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("backprop_cli."):
            names.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            names |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("backprop_cli.")}
    return names


def test_imports_go_to_the_left() -> None:
    wrong = [
        f"{place(path)} imports {name}"
        for path in MODULES
        if _part(path) != "__init__"
        for name in sorted(_imported_parts(path))
        if ORDER.index(name) > ORDER.index(_part(path))
    ]
    assert not wrong


def test_only_plugins_import_the_module_for_plugins() -> None:
    """A start pays only for what it uses."""
    assert not [place(path) for path in MODULES if "plugin" in _imported_parts(path)]


ENGINE = ["spec", "numpy_names", "value", "op", "families", "program", "transforms", "evaluate"]
AUTODIFF = [*ENGINE, "ops", "functions"]
"""The files of ``autodiff`` in the order in which they are read; others come last."""
DERIVATIVES = PACKAGE / "autodiff"


def _rank_in_autodiff(name: str) -> int:
    return AUTODIFF.index(name) if name in AUTODIFF else len(AUTODIFF)


def test_the_engine_imports_what_is_read_before_it() -> None:
    """At its top: an operator of values, which are read first, finds its op by name when it is used."""
    wrong = []
    for path in sorted(DERIVATIVES.rglob("*.py")):
        right = _imported_parts(path) - {"autodiff", "errors", "structs", "registry"}
        if path.name != "__init__.py":
            rank = _rank_in_autodiff(path.relative_to(DERIVATIVES).parts[0].removesuffix(".py"))
            named = [node for node in parsed(path).body if isinstance(node, ast.ImportFrom)]
            names = {node.module.split(".")[2] for node in named if node.module and node.module.count(".") > 1}
            right |= {name for name in names if _rank_in_autodiff(name) > rank}
        wrong += [f"{place(path)} imports {name}" for name in sorted(right)]
    assert not wrong


def test_the_engine_is_read_in_an_hour() -> None:
    files = [DERIVATIVES / f"{name}.py" for name in ENGINE if name != "numpy_names"]
    assert sum(len(path.read_text().splitlines()) for path in files) <= 800


def test_only_report_and_cli_print() -> None:
    prints = [
        f"{place(path)}:{node.lineno}"
        for path in MODULES
        if _part(path) not in ("report", "cli")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not prints


def test_autodiff_nn_training_and_checks_touch_no_files() -> None:
    """Neither themselves nor through what they import from outside the package."""
    wanted = re.compile(r"(?<!re)open\(|pathlib|^import (os|io|shutil|tempfile)\b|backprop_cli\.files", re.MULTILINE)
    places = [
        f"{place(path)}: {found.group()}"
        for path in MODULES
        if _part(path) in ("autodiff", "nn", "training", "checks")
        for found in wanted.finditer(path.read_text())
    ]
    assert not places


def test_every_public_method_that_overrides_nothing_is_documented() -> None:
    """What an overriding method does is written at the one it overrides (so ruff's D102 is off)."""
    bare = []
    for path in MODULES:
        name = ".".join(["backprop_cli", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")
        module = importlib.import_module(name)
        for cls in [value for value in vars(module).values() if inspect.isclass(value) and value.__module__ == name]:
            bare += [
                f"{name}.{cls.__qualname__}.{key}"
                for key, value in vars(cls).items()
                if not (key.startswith("_") or cls.__name__.startswith("_"))
                and (inspect.isfunction(value) or isinstance(value, property | classmethod | staticmethod))
                and not value.__doc__
                and not any(hasattr(base, key) for base in cls.__mro__[1:])
            ]
    assert not bare


def test_configurations_are_read_with_their_plugins_checked() -> None:
    folders = ("session", "inspection", "api")
    for path in sorted(path for folder in folders for path in (PACKAGE / folder).glob("*.py")):
        imported = {
            alias.name
            for node in ast.walk(parsed(path))
            if isinstance(node, ast.ImportFrom) and node.module == "backprop_cli.config.load"
            for alias in node.names
        }
        assert path.name == "checked_plugins.py" or "load_config" not in imported, f"{path.name}: use read_config"


def test_numpy_stays_in_eval() -> None:
    """Derivative rules are written in ops: no NumPy call stands in a jvp, vjp, partials or transpose."""
    rules = {"jvp", "vjp", "partials", "transpose", "transpose_left", "transpose_right"}
    for path in sorted((PACKAGE / "autodiff" / "ops").glob("*.py")):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef) and node.name in rules:
                used = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
                assert "np" not in used, f"{path.name}: {node.name} at line {node.lineno} calls NumPy"


def test_a_file_name_says_where_it_is() -> None:
    """Names are unique, but for the words of YAML that two registries share."""
    folders: dict[str, list[str]] = {}
    for path in MODULES:
        if path.name not in ("__init__.py", "settings.py"):
            folders.setdefault(path.name, []).append(path.parent.name)
    types = {folder.name for folder in (PACKAGE / "nn").iterdir() if folder.is_dir()} | {"ops"}
    assert not {name: found for name, found in folders.items() if len(found) > 1 and not types.issuperset(found)}


PHRASES = re.compile(r"\b(of which|is told|whoever|where there is none)\b", re.IGNORECASE)
"""Translated constructions; the field has a shorter word for each."""


def test_sentences_are_plain_english() -> None:
    root = PACKAGE.parent
    texts = [*MODULES, *(path for path in sorted(root.rglob("*.md")) if path.relative_to(root).parts[0] in PROSE)]
    found = [
        f"{path.relative_to(root)}: {match.group()}"
        for path in texts
        for match in PHRASES.finditer(re.sub(r"[\s#]+", " ", path.read_text(encoding="utf-8")))
    ]
    assert not found


def test_every_test_file_has_a_name_of_its_own() -> None:
    """Folders of tests are no packages: pytest cannot import two modules of one name."""
    names = [path.name for path in Path(__file__).parent.rglob("*.py") if path.name != "conftest.py"]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("wanted", ['find_spec("matplotlib")'])
def test_what_is_skipped_without_an_extra_is_run_where_it_is_installed(wanted: str) -> None:
    tests = Path(__file__).parent
    files = [path for path in sorted(tests.rglob("test_*.py")) if wanted in path.read_text() and path != Path(__file__)]
    named = (tests.parent / ".ci" / "run").read_text().split()
    assert files
    assert not [path.name for path in files if str(path.relative_to(tests.parent)) not in named]


def test_pre_commit_runs_the_pinned_linter_and_type_checker() -> None:
    """Another version finds other faults: continuous integration and a commit must agree."""
    root = Path(__file__).parents[1]
    wanted = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]["test"]
    pins = {requirement for requirement in wanted if re.match("(ruff|mypy)==", requirement)}
    assert len(pins) == 2
    (local,) = yaml.safe_load((root / ".pre-commit-config.yaml").read_text())["repos"]
    for hook in local["hooks"]:
        tool = hook["entry"].split()[0]
        (pin,) = [pin for pin in pins if pin.startswith(f"{tool}==")]
        installed = hook["language"] == "system"  # with the extra [test]
        assert hook.get("additional_dependencies", []) == ([] if installed else [pin]), hook["id"]


POSIX = {"fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"}


def test_modules_that_windows_lacks_are_imported_with_care() -> None:
    """Only inside ``try`` or ``if``, where there is another way."""
    bare = [
        f"{place(path)}: {alias.name}"
        for path in MODULES
        for node in parsed(path).body
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name in POSIX
    ]
    assert not bare


UNTRUSTWORTHY = {"dill", "http", "joblib", "marshal", "pickle", "shelve", "socket", "ssl", "subprocess", "urllib"}
"""Modules that run code from data, start programs or open connections."""
COMPILER = "execution/compiler.py"
"""The file that starts the C compiler, and nothing else."""


def test_nothing_unpickles_starts_programs_or_opens_connections() -> None:
    """What SECURITY.md promises."""
    found = [
        f"{place(path)}:{node.lineno}"
        for path in MODULES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names])
        if name.partition(".")[0] in UNTRUSTWORTHY and (place(path), name) != (COMPILER, "subprocess")
    ]
    assert not found
