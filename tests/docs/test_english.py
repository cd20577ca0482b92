"""The check of phrases finds them, also over a line break, and nothing else."""

import pytest
from check_english import problems


@pytest.mark.parametrize(
    ("text", "line", "instead"),
    [
        ("who knows\nhow sure that is", 2, "how sure we can be"),
        ("how sure\nthat is", 1, "how sure we can be"),
        ('say("how sure "\n    f"that is")', 1, "how sure we can be"),
        ("x is no policy.", 1, "is not a ..."),
        ("its secret cannot be told", 1, "cannot be estimated, or: is unknown"),
    ],
)
def test_a_phrase_is_found(text, line, instead):
    assert [(at, advice) for at, _, advice in problems(text)] == [(line, instead)]


@pytest.mark.parametrize("text", ["There is no policy.", "they cannot be told apart", "for sure"])
def test_plain_english_passes(text):
    assert problems(text) == []
