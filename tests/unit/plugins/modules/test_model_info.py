# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which models fit, as a host tells it: the catalogue's, one of the hub, and one in a directory."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host import gpus
from ansible_collections.inference.fleet.plugins.modules import model_info
from ansible_collections.inference.fleet.plugins.plugin_utils import catalogue

PARAMS: dict[str, Any] = {
    "model": None, "engine": "vllm", "profile": None, "context": None, "revision": None, "cache_dir": "/cache",
    "hf_token": None, "environment": {}, "models": catalogue.all_facts(),
}  # fmt: skip
DENSE = {
    "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 32, "max_position_embeddings": 32768,
}  # fmt: skip


def told(**params: Any) -> dict[str, dict[str, Any]]:
    return {row["name"] or row["id"]: row for row in model_info.run({**PARAMS, **params})["models"]}


def test_the_catalogue_on_eight_h100() -> None:
    rows = told(profile="h100x8")
    page = rows["qwen3-coder-next"]
    assert (page["fits"], page["gpus"], page["replicas"], page["tensor_parallel_size"]) == (True, 4, 2, 4)
    assert page["arithmetic"] == (
        "192 GB wanted, 4 x 86 GB = 342 GB, known to work; 79.6 GiB x 90% - 149.0 GiB / 4 - 2 GiB = 32.4 GiB of KV "
        "cache on each"
    )
    kimi = rows["kimi-k2.7-code"]
    assert (kimi["fits"], kimi["gpus"], kimi["replicas"]) == (False, 16, 0)
    assert kimi["arithmetic"].endswith("it needs 16 GPUs, and there are 8: 2 hosts like this one have them")
    # A precision of other GPUs is neither promised nor offered.
    assert rows["deepseek-v3.2-nvfp4"]["fits"] is None
    assert "nvfp4" not in rows["deepseek-v3.2"]["arithmetic"]
    assert told(profile="b200x8")["deepseek-v3.2-nvfp4"]["fits"] is True


def test_a_precision_that_fits_is_offered() -> None:
    assert "qwen3-coder-next-fp8 fits" in told(profile="h100x2")["qwen3-coder-next"]["arithmetic"]


def test_a_host_without_gpus_still_has_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "query", lambda run: gpus.Gpus(installed=False))
    rows = told()
    assert {row["fits"] for row in rows.values()} == {None}
    assert {row["arithmetic"] for row in rows.values()} == {"no GPU"}


def test_the_host_s_own_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [{"name": "NVIDIA H200", "memory_mib": 143771, "index": index} for index in range(2)]
    monkeypatch.setattr(gpus, "query", lambda run: gpus.Gpus(gpus=found))
    result = model_info.run(PARAMS)
    assert result["profile"] == "h200x2"
    assert result["lines"][0].split() == ["model", "precision", "GPUs", "arithmetic"]
    assert any("qwen3-coder-next-fp8" in line and " fits " in line for line in result["lines"])
    monkeypatch.setattr(gpus, "query", lambda run: gpus.Gpus(error="it is lost"))
    with pytest.raises(FleetError, match=r"it is lost\. Mend the driver, or give profile"):
        model_info.run(PARAMS)


def directory(path: Path, config: dict[str, Any], size: int) -> str:
    """Make a model's directory, whose one file of weights has a size and no content on disk."""
    (path / "config.json").write_text(json.dumps(config))
    with (path / "model.safetensors").open("wb") as stream:
        stream.write(struct.pack("<Q", 2) + b"{}")
        stream.truncate(size)
    return str(path)


def test_a_model_that_nobody_knows_by_its_own_files(tmp_path: Path) -> None:
    model = directory(tmp_path, DENSE, 100 * 2**30)
    (row,) = told(model=model, models=[{"id": model}], profile="h100x8", context=32768).values()
    assert (row["fits"], row["gpus"], row["weights_gib"]) == (True, 2, 100.0)
    assert "79.6 GiB x 90% - 100.0 GiB / 2 - 2 GiB = 19.7 GiB of KV cache on each" in row["arithmetic"]
    # 2 layers, one of two heads on each, 64 numbers of 2 bytes.
    assert row["kv_cache_tokens"] == pytest.approx((81559 / 1024 * 0.9 - 52) * 2**30 / 256, rel=1e-3)
    assert row["longest_context"] == 32768
    model = directory(tmp_path, {**DENSE, "num_attention_heads": 3, "num_key_value_heads": 3}, 100 * 2**30)
    (row,) = told(model=model, models=[{"id": model}], profile="h100x8").values()
    assert row["fits"] is False
    assert "the model's 3 attention heads cannot be divided among 2" in row["arithmetic"]


def test_a_model_of_which_nothing_is_known(tmp_path: Path) -> None:
    model = str(tmp_path)
    (row,) = told(model=model, models=[{"id": model}], profile="h100x8").values()
    assert (row["fits"], row["gpus"]) == (None, None)
    assert "its size is not known" in row["arithmetic"]


def test_a_profile_that_is_none() -> None:
    with pytest.raises(FleetError, match="profile: 'many' is not a profile"):
        told(profile="many")
