"""What holds for every registered type of a network."""

import pytest
from nn_support import REGISTRIES, build, label, samples, yaml_line
from pydantic import ValidationError

from backprop_cli.settings import descriptions

TYPES = [(registry, name) for registry in REGISTRIES for name in registry]
SAMPLES = [
    (registry, dict(getattr(sample, "settings", sample)) | {"type": name})
    for registry in REGISTRIES
    for name, cls in registry.items()
    for sample in cls.samples
]


def _ids(pairs):
    return [f"{registry.kind}-{label(what)}" for registry, what in pairs]


@pytest.mark.parametrize(("registry", "name"), TYPES, ids=_ids(TYPES))
def test_its_manual_page_builds_it(registry, name):
    cls = registry[name]
    assert type(build(registry, yaml_line(cls))) is cls


@pytest.mark.parametrize(("registry", "name"), TYPES, ids=_ids(TYPES))
def test_every_key_is_described(registry, name):
    described = descriptions(registry[name])
    for key in registry[name].model_fields:
        if key != "type":
            assert described.get(key) and "\n" not in described[key], key


@pytest.mark.parametrize(("registry", "name"), TYPES, ids=_ids(TYPES))
def test_is_found_by_the_name_of_its_file(registry, name):
    """A file of another name would make a look-up import the whole folder."""
    package, _, module = registry[name].__module__.rpartition(".")
    assert package == registry.package
    assert module in name or name in module


@pytest.mark.parametrize(("registry", "name"), TYPES, ids=_ids(TYPES))
def test_names_a_sample(registry, name):
    assert registry[name].samples


@pytest.mark.parametrize(("registry", "settings"), SAMPLES, ids=_ids(SAMPLES))
def test_settings_survive_writing_and_reading(registry, settings):
    built = build(registry, settings)
    assert build(registry, built.model_dump()) == built
    assert isinstance(hash(built), int)


@pytest.mark.parametrize(("registry", "settings"), SAMPLES, ids=_ids(SAMPLES))
def test_unknown_keys_are_errors(registry, settings):
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        build(registry, {**settings, "colour": 1})


def test_samples_are_listed():
    assert len(SAMPLES) == sum(len(samples_of) for samples_of in map(_all_samples, REGISTRIES))


def _all_samples(registry):
    return samples(registry) if registry.kind != "layer" else [s for _, cls in registry.items() for s in cls.samples]
