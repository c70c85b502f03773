"""Make a Qwen3 with random weights and a tokenizer trained on the standard library's source, in seconds.

usage: tiny_model.py DIRECTORY
"""

from __future__ import annotations

import json
import sys
import sysconfig
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

VOCABULARY = 8192
CONTEXT = 32768
PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CALL = ["<tool_call>", "</tool_call>"]
CHAT_TEMPLATE = Path(__file__).with_name("chat_template.jinja")
# How much less likely, in logits, tokens are that begin so. A grammar allows any amount of white space around a value,
# and noise would use it all; a call ends by a newline; and its mark could be spelt instead of being one token.
UNLIKELY = {" ": 32.0, "\n": 16.0, "<": 8.0}


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, START, END, *CALL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    sources = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    tokenizer.train([str(path) for path in sources], trainer)
    # Guided decoding writes no special tokens, and vLLM knows a streamed call by these.
    state = json.loads(tokenizer.to_str())
    for token in state["added_tokens"]:
        token["special"] = token["content"] not in CALL
    tokenizer = Tokenizer.from_str(json.dumps(state))
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=PAD)
    wrapped.chat_template = CHAT_TEMPLATE.read_text(encoding="utf-8")
    wrapped.model_max_length = CONTEXT
    return wrapped


def make_model(tokenizer: PreTrainedTokenizerFast) -> Qwen3ForCausalLM:
    """Return the model. Its answers are noise, which fits a schema where decoding is guided by one."""
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=CONTEXT,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        tie_word_embeddings=False,
        dtype="bfloat16",
    )
    model = Qwen3ForCausalLM(config)
    # One channel of the hidden state is held constant, about the root of its size after the last norm, as a bias.
    bias = torch.tensor([-_unlikely(tokenizer.decode([number])) for number in range(VOCABULARY)])
    with torch.no_grad():
        model.get_input_embeddings().weight[:, 0] = 1.0
        model.get_output_embeddings().weight[:, 0] = bias / config.hidden_size**0.5
    return model.to(torch.bfloat16)


def _unlikely(text: str) -> float:
    if text in ("\n", *CALL):
        return UNLIKELY.get(text, 0.0)
    return UNLIKELY[" "] if text[:1].isspace() else UNLIKELY.get(text[:1], 0.0)


def main(directory: str) -> None:
    """Write the model."""
    tokenizer = make_tokenizer()
    tokenizer.save_pretrained(directory)
    make_model(tokenizer).save_pretrained(directory)


if __name__ == "__main__":
    main(sys.argv[1])
