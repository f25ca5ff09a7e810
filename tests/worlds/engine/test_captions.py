"""Captions: whoever is told of can be told from the others."""

from __future__ import annotations

import numpy as np

from outofsight.worlds.engine.captions import CaptionSubject, caption

PLACE = {"place": "a plaza", "light": "at noon"}


def told(who: str, wearing: str, *, returns: bool = True) -> CaptionSubject:
    return CaptionSubject({"who": who, "wearing": wearing}, "straight", seen=True, returns=returns, hidden=False)


def test_two_of_one_name_are_told_apart() -> None:
    pair = [told("a woman", "in a red coat"), told("a woman", "in a blue dress")]
    for seed in range(8):
        text = caption(PLACE, pair, "hold", np.random.default_rng(seed))
        assert "nother woman in a blue dress" in text
        assert "he woman in a red coat and the woman in a blue dress" in text
        assert "he woman and" not in text


def test_a_name_that_begins_another_is_told_apart_too() -> None:
    pair = [told("a woman", "in a red coat"), told("a woman in a headscarf", "in a teal robe", returns=False)]
    text = caption(PLACE, pair, "hold", np.random.default_rng(0))
    assert "The woman in a red coat lea" in text
    assert "another" not in text.lower()


def test_names_of_their_own_stay_short() -> None:
    pair = [told("a woman", "in a red coat"), told("an elderly man", "in a brown cardigan")]
    text = caption(PLACE, pair, "hold", np.random.default_rng(0))
    assert "The woman and the elderly man" in text
    again = caption(PLACE, [pair[1], pair[1]], "hold", np.random.default_rng(0))
    assert "Another elderly man" in again


def test_one_is_on_a_platform_and_in_a_plaza() -> None:
    for place, words in (("a railway platform", "on a railway platform"), ("a plaza", "in a plaza")):
        texts = [
            caption({"place": place, "light": ""}, [told("a man", "in jeans")], "hold", np.random.default_rng(seed))
            for seed in range(6)
        ]
        assert all(words in text.lower() for text in texts)
