# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tokenizer that counts bytes."""

from __future__ import annotations

import json

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.simulator import asked
from ansible_collections.inference.fleet.plugins.module_utils.simulator.tokenizer import byte_symbols, tokenizer_files

TEXTS = ["x" * 8192, "héllo\n\t  ✓ wörld 🚀", "def f():\n    return 1\n", " leading", bytes(range(128)).decode(), ""]


def test_every_byte_has_its_own_token():
    vocabulary = json.loads(tokenizer_files()["tokenizer.json"])["model"]["vocab"]
    symbols = byte_symbols()
    assert [vocabulary[symbol] for symbol in symbols] == list(range(256))
    assert len(set(symbols)) == len(vocabulary) == 256
    # Spot checks of the table that byte-level vocabularies share.
    assert (symbols[ord("a")], symbols[ord(" ")], symbols[ord("\n")], symbols[0], symbols[0xFF]) == tuple("aĠĊĀÿ")


def test_the_special_token_is_no_byte():
    tokenizer, config = (json.loads(text) for text in tokenizer_files().values())
    (special,) = tokenizer["added_tokens"]
    assert special["id"] == 256
    assert special["content"] == config["eos_token"] == config["pad_token"]


@pytest.mark.parametrize("text", TEXTS)
def test_the_real_library_counts_as_the_simulator_does(text):
    tokenizers = pytest.importorskip("tokenizers", reason="needs the package tokenizers")
    tokenizer = tokenizers.Tokenizer.from_str(tokenizer_files()["tokenizer.json"])
    ids = tokenizer.encode(text).ids
    assert ids == list(text.encode())
    assert len(ids) == asked.count_tokens(text)
    assert tokenizer.decode(ids) == text
