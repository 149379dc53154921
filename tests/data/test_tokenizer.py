"""Text to tokens and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backprop_cli.data.sections import TextSettings
from backprop_cli.data.tokenizer import Tokenizer
from backprop_cli.errors import DataError, SettingError


def fitted(text: str, **settings: Any) -> Tokenizer:
    return Tokenizer.fit(text, TextSettings.model_validate(settings))


@given(st.text(), st.sampled_from(["character", "word"]))
def test_decoding_gives_back_every_text(text: str, tokens: str) -> None:
    tokenizer = fitted(text, tokens=tokens)
    assert tokenizer.decode(tokenizer.encode(text, "t")) == text
    assert list(tokenizer.vocabulary) == sorted(set(tokenizer.vocabulary))


def test_a_number_is_a_place_among_the_sorted_characters() -> None:
    tokenizer = fitted("hello, ällo\n")
    assert tokenizer.vocabulary == ("\n", " ", ",", "e", "h", "l", "o", "ä")
    assert tokenizer.encode("hä\n", "t").tolist() == [4, 7, 0]
    assert tokenizer.encode("", "t").shape == (0,)


def test_words_keep_the_space_before_them() -> None:
    text = "To be, or not--\n\tdon't  stop!"
    tokenizer = fitted(text, tokens="word")
    found = [tokenizer.vocabulary[number] for number in tokenizer.encode(text, "t")]
    assert found == ["To", " be", ",", " or", " not", "--", "\n", "\t", "don't", " ", " stop", "!"]


@pytest.mark.parametrize(("tokens", "text"), [("character", "aabbc"), ("word", "a a b b c")])
def test_rare_tokens_are_one(tokens: str, text: str) -> None:
    tokenizer = fitted(text, tokens=tokens, minimum_count=2)
    assert "<unknown>" in tokenizer.vocabulary
    assert "c" not in tokenizer.vocabulary
    assert tokenizer.unknown == tokenizer.vocabulary.index("<unknown>")
    assert tokenizer.encode("\U0001f600", "t").tolist() == [tokenizer.unknown]
    assert tokenizer.decode(tokenizer.encode(text, "t")).endswith("<unknown>")


def test_lines_have_a_boundary() -> None:
    assert fitted("ab", lines=True).boundary == 0
    assert fitted("a\nb").boundary is None


def test_it_survives_json() -> None:
    tokenizer = fitted("a b a a", tokens="word", context=3, minimum_count=2)
    assert Tokenizer.from_json(json.loads(json.dumps(tokenizer.to_json())), tokenizer.vocabulary) == tokenizer


def test_a_text_of_nothing_but_rare_tokens() -> None:
    with pytest.raises(SettingError) as caught:
        fitted("a b a a", tokens="word", minimum_count=3)
    reason = "no word occurs 3 times: the most frequent, ' a', occurs 2 times; set 2 or less"
    assert tuple((each.path, each.reason) for each in caught.value.problems) == (
        (("data", "text", "minimum_count"), reason),
    )


@pytest.mark.parametrize(
    ("tokens", "text", "message"),
    [
        (
            "character",
            "ab\nbé",
            "new.txt:2:2: character 'é' is not one of the 3 characters that the network was trained on; remove it, or "
            "train with data.text.minimum_count: 2, which maps rare ones to <unknown>",
        ),
        (
            "word",
            "a\nb a c",
            "new.txt:2:4: word ' c' is not one of the 5 words that the network was trained on; remove it, or "
            "train with data.text.minimum_count: 2, which maps rare ones to <unknown>",
        ),
        (
            "word",
            "a b ",
            "new.txt:1:4: word ' ' (a word has the space before it; this one has none) is not one of the 5 words that "
            "the network was trained on; remove it, or train with data.text.minimum_count: 2, which maps rare ones to "
            "<unknown>",
        ),
    ],
)
def test_a_token_that_is_not_known(tokens: str, text: str, message: str) -> None:
    tokenizer = fitted("ab\n" if tokens == "character" else "a b a\nb", tokens=tokens)
    with pytest.raises(DataError) as caught:
        tokenizer.encode(text, "new.txt")
    assert str(caught.value) == message
