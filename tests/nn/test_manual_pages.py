"""The docstrings of types are their manual pages: what each has to say."""

import inspect
import re

import pytest
from nn_support import REGISTRIES

WITH_ARRAYS = [registry for registry in REGISTRIES if registry.kind in {"layer", "loss", "optimizer"}]
PAGES = [(f"{registry.kind} {name}", cls) for registry in WITH_ARRAYS for name, cls in registry.items()]


@pytest.mark.parametrize(("label", "cls"), PAGES, ids=[label for label, _ in PAGES])
def test_a_page_has_a_formula_shapes_and_a_source(label, cls):
    page = inspect.cleandoc(cls.__doc__)
    first, *_ = page.split("\n\n")
    assert re.search(r"``[^`]+ (=|<-|\+=) [^`]+``", first), "the first sentence has no formula"
    for part in ("Shapes", "Source"):
        assert re.search(rf"^{part}: +\S", page, re.MULTILINE), f"{part}: is missing"


def test_every_kind_with_arrays_is_here():
    assert [registry.kind for registry in WITH_ARRAYS] == ["layer", "loss", "optimizer"]
