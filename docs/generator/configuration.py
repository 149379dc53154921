"""``configuration.md``: every key of a configuration, a table for each section."""

from __future__ import annotations

from backprop_cli.config.changes import rule_of
from backprop_cli.inspection.type_entry import settings_field
from backprop_cli.settings import REFUSED, OnResume, Settings
from generator import markdown
from generator.settings_keys import Section, heading, inside, sections
from generator.type_pages import default_cell, value_cell

_INTRODUCTION = """\
A configuration is one YAML file. These tables have its keys in the order of a file. Only `data`, `model` and `loss` are
required. `bp schema` prints the same as a JSON Schema for editors, and `bp validate` checks a file.

- Where a value is a type, such as a layer or a loss, its name alone stands for the type with its defaults:
  `loss: cross_entropy`. The type's page has its keys.
- `none` switches a key off. A mapping that is off by default is switched on by `{}`.
- Unknown and repeated keys are errors. YAML is read with the scalars of YAML 1.2: `1e-3` is a number, `no` is a text.
- A path is relative to the configuration file. `${NAME}` in it is an environment variable, `${NAME:-path}` one with a
  default.
- A command line may override any key: `bp train digits.yaml optimizer.learning_rate=1e-2 model.layers.0.units=64`.
- *On resume* says what a changed value does to a run that `bp train --resume` continues. *free*: training goes on.
  *ignored*: the run keeps its value, and a remark says so.
  *restarts*: what the run remembers for this key, such as the best value so far, starts again. *fixed*: the change is
  refused.
"""

_EFFECTS = {"free": "free", "restarts": "restarts", "ignored": "ignored", "refused": "fixed"}


def configuration_page() -> str:
    """The page."""
    found = sections()
    names = [heading(section) for section in found]
    parts = [part for section in found for part in _section(section, found)]
    return markdown.page("Configuration", _INTRODUCTION.rstrip(), markdown.contents(names), *parts)


def _section(section: Section, found: list[Section]) -> list[str]:
    around = _rule(section, found)
    rows = [_row(section.cls, key, around) for key in section.cls.model_fields]
    head = ["key", "value", "default", "meaning", "on resume"]
    return [f"## {heading(section)}", markdown.docstring(section.cls.__doc__ or ""), markdown.table(head, rows)]


def _rule(section: Section, found: list[Section]) -> OnResume:
    """The rule of a section's keys: that of the key that holds it, or of the nearest one around it with a rule."""
    rule, cls = REFUSED, found[0].cls
    for step in section.path.split(".") if section.path else ():
        info = cls.model_fields[step.removesuffix("[]")]
        rule = rule_of(info, rule)
        inner = [each for each, _ in inside(info.annotation, tuple(info.metadata)) if isinstance(each, type)]
        cls = section.cls if section.cls in inner else inner[0]
    return rule


def _row(cls: type[Settings], key: str, around: OnResume) -> list[str]:
    info = cls.model_fields[key]
    field = settings_field(cls, key, info)
    default = "see meaning" if info.default_factory_takes_validated_data else default_cell(field)
    rule = _EFFECTS[rule_of(info, around).effect]
    value = value_cell(field.type, info).replace("configuration.md#", "#")
    return [f"`{key}`", value, default, markdown.escaped(field.description), rule]
