"""What holds for every registered type of a network."""

import pytest
from nn_support import REGISTRIES, build, label, yaml_line
from pydantic import ValidationError

from backprop_cli.settings import descriptions

every_registry = pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.kind)


def samples(registry):
    """The settings of every sample of every type."""
    return [
        dict(getattr(sample, "settings", sample)) | {"type": name}
        for name, cls in registry.items()
        for sample in cls.samples
    ]


@every_registry
def test_its_manual_page_builds_it(registry):
    for cls in dict(registry.items()).values():
        assert type(build(registry, yaml_line(cls))) is cls


@every_registry
def test_every_key_is_described_in_one_line(registry):
    pages = {name: descriptions(cls) for name, cls in registry.items()}
    bare = [
        f"{name}.{key}"
        for name, cls in registry.items()
        for key in cls.model_fields
        if key != "type" and (not pages[name].get(key) or "\n" in pages[name][key])
    ]
    assert not bare


@every_registry
def test_every_type_is_found_by_the_name_of_its_file(registry):
    """A file of another name would make a look-up import the whole folder.

    A file of several types has the word that their names share. ``activation_layer`` tells a type from its kind.
    """
    types = {}
    for name, cls in registry.items():
        package, _, file = cls.__module__.rpartition(".")
        assert package == registry.package, name
        types.setdefault(file, []).append(name)
    wrong = {
        file: names
        for file, names in types.items()
        if names not in ([file], [file.removesuffix(f"_{registry.kind}")])
        and not (len(names) > 1 and all(file in name for name in names))
    }
    assert not wrong, "name the file like its type"


@every_registry
def test_every_type_names_a_sample(registry):
    assert not [name for name, cls in registry.items() if not cls.samples]


@every_registry
def test_settings_survive_writing_and_reading(registry):
    for settings in samples(registry):
        built = build(registry, settings)
        assert build(registry, built.model_dump()) == built
        assert isinstance(hash(built), int)


@every_registry
def test_unknown_keys_are_errors(registry):
    for settings in samples(registry):
        with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
            build(registry, {**settings, "colour": 1})
            pytest.fail(label(settings))
