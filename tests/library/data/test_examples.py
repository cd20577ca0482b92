import pytest
from places import EXAMPLES

import r2rise
from r2rise.errors import UnknownName


@pytest.mark.parametrize("name", ["cartpole", "cartpole-0-4"])
def test_an_example_is_the_file_of_its_name(name):
    file = r2rise.Demonstrations.load(EXAMPLES / f"{name}.npz")
    assert r2rise.load_example(name).content_hash == file.content_hash


def test_a_wrong_name_lists_the_examples():
    with pytest.raises(UnknownName, match="no example 'cart'. Examples: cartpole, cartpole-0-4"):
        r2rise.load_example("cart")
