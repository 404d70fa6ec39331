"""What documents have in common, so that a compressed one need not spell it out.

The text stands in `dictionary.txt`. Never change it: documents stored with it can only be read with
it (a test knows its hash). Documents stored without it are read all the same.
"""

from functools import lru_cache
from pathlib import Path

import zstandard

LEVEL = 1  # the higher ones cost three times as much for a tenth fewer bytes


@lru_cache(maxsize=1)
def load() -> zstandard.ZstdCompressionDict:
    """Return the dictionary, ready for compressing many small documents."""
    text = Path(__file__).with_name("dictionary.txt").read_bytes()
    dictionary = zstandard.ZstdCompressionDict(text, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    dictionary.precompute_compress(level=LEVEL)
    return dictionary
