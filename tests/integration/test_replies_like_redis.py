"""Replies to generated command sequences are those of redis-server, byte for byte."""

import pytest
from differential import Comparison
from generators import HASHES, KEYS, LEXICAL_RANGES, LISTS, SETS, SORTED_SETS, STRINGS, sequence

COMMANDS = 3000

FAMILIES = {
    "strings": STRINGS, "keys": KEYS + STRINGS[:4], "hashes": HASHES, "lists": LISTS, "sets": SETS,
    "sorted-sets": SORTED_SETS, "lexical-ranges": LEXICAL_RANGES,
    "mixed": STRINGS + KEYS + HASHES + LISTS + SETS + SORTED_SETS,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_generated_commands_get_the_same_replies(pair, family, seed):
    with Comparison(pair, seed) as comparison:
        comparison.check_all(sequence(seed, COMMANDS, FAMILIES[family]))
        comparison.check_state()
