# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the catalogue has an engine started with is what the engine's own parser takes: each model, kind of GPU and way.

Of SGLang, which is not installed here, the parser of 0.5.23 is recorded: its flags, and the choices of each.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils import profiles
from ansible_collections.inference.fleet.plugins.module_utils.serving import entries, options
from ansible_collections.inference.fleet.plugins.module_utils.serving.deployment import deployment
from ansible_collections.inference.fleet.plugins.module_utils.serving.placement import placement
from ansible_collections.inference.fleet.plugins.module_utils.serving.request import request
from ansible_collections.inference.fleet.plugins.plugin_utils import catalogue

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / ".build/venvs/vllm-cpu/bin/python"
SGLANG = json.loads((Path(__file__).parent / "sglang-0.5.23-flags.json").read_text(encoding="utf-8"))
NAMES = {"h100": "NVIDIA H100 80GB HBM3", "h200": "NVIDIA H200", "b200": "NVIDIA B200", "a100": "NVIDIA A100-SXM4-80GB"}
# Of vLLM's own parser, without what it does with what it read.
PARSE = """
import json, sys
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.tool_parsers import ToolParserManager
from vllm.reasoning import ReasoningParserManager
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = make_arg_parser(FlexibleArgumentParser())
said = []
parser.error = said.append
from vllm import envs
wanted = json.load(sys.stdin)
for name in wanted.pop("variables"):
    if name.startswith("VLLM_") and name not in envs.environment_variables:
        print(f"VERDICT {name}: no variable that it reads")
for name, argv in wanted.items():
    said.clear()
    try:
        given = parser.parse_args(argv)
        named = (given.tool_call_parser, ToolParserManager), (given.reasoning_parser, ReasoningParserManager)
        said += [f"no parser {name}" for name, known in named if name and name not in known.list_registered()]
    except Exception as error:
        said.append(f"{type(error).__name__}: {error}")
    if said:
        print(f"VERDICT {name}: {said}")
print("VERDICTS DONE")
"""


def command(engine: str, facts: dict[str, Any], family: str, **given: Any) -> list[str]:
    """Return the command of a model on the GPUs of a kind that it needs."""
    found = [{"name": NAMES[family], "memory_mib": profiles.MEMORY_MIB[family], "index": index} for index in range(64)]
    params = {**options.DEFAULTS, "cache_dir": "/cache", "engine": engine, "model": facts["id"], **given}
    (one,) = entries.expand(catalogue.with_models(params), dict)
    asked = request(one)
    return list(deployment(asked, placement(asked, found)).container.command)


def commands(engine: str) -> dict[str, list[str]]:
    wanted = {}
    for facts in catalogue.all_facts():
        for family in NAMES:
            wanted[f"{facts['served_model_name']} on {family}"] = command(engine, facts, family)
        if any(rule["engine"] == engine for rule in facts.get("speculative_decoding", ())):
            wanted[f"{facts['served_model_name']}, speculative"] = command(
                engine, facts, "h200", speculative_decoding=True
            )
        wanted[f"{facts['served_model_name']}, spread"] = command(
            engine, facts, "h200", tensor_parallel_size=2, pipeline_parallel_size=2, data_parallel_size=2,
            expert_parallel=True,
        )  # fmt: skip
    return wanted


@pytest.mark.skipif(not PYTHON.exists(), reason="vLLM is not installed: make demo ENGINE=vllm does it")
def test_vllm_s_parser_takes_every_entry_on_every_kind_of_gpu() -> None:
    wanted: dict[str, list[str]] = commands("vllm")
    assert len(wanted) > 120
    rules = [rule for facts in catalogue.all_facts() for rule in facts.get("settings", ())]
    wanted["variables"] = sorted({name for rule in rules for name in rule.get("environment", ())})
    assert wanted["variables"]
    # That the parser, and the list of variables, is asked at all.
    wanted["variables"].append("VLLM_NO_SUCH_VARIABLE")
    wanted["wrong flag"] = ["--no-such-flag"]
    wanted["wrong choice"] = ["--kv-cache-dtype", "fp3"]
    wanted["wrong parser"] = ["--reasoning-parser", "nobody"]
    done = subprocess.run(
        [PYTHON, "-c", PARSE], input=json.dumps(wanted), capture_output=True, text=True, timeout=400, check=False
    )
    verdicts = [line for line in done.stdout.splitlines() if line.startswith("VERDICT")]
    assert verdicts[-1:] == ["VERDICTS DONE"], done.stderr[-3000:]
    refused = {line.split(":")[0].removeprefix("VERDICT ") for line in verdicts[:-1]}
    assert refused == {"wrong flag", "wrong choice", "wrong parser", "VLLM_NO_SUCH_VARIABLE"}, verdicts


def refusals(argv: list[str], flags: dict[str, Any]) -> list[str]:
    """Return what a parser with such flags would not take of arguments."""
    found = []
    # After the program: python -m sglang.launch_server.
    words = iter(argv[3:])
    for word in words:
        known = flags.get(word)
        if known is None:
            found.append(f"{word} is none of its flags")
            continue
        if known["switch"]:
            continue
        value = next(words, None)
        if value is None or value.startswith("--") or (known["choices"] and value not in known["choices"]):
            found.append(f"{word} {value}")
    return found


def test_sglang_s_parser_takes_every_entry_on_every_kind_of_gpu() -> None:
    wanted = commands("sglang")
    assert len(wanted) > 120
    assert {name: said for name, argv in wanted.items() for said in [refusals(argv, SGLANG)] if said} == {}
    assert refusals(["python", "-m", "x", "--no-such-flag"], SGLANG)
    assert refusals(["python", "-m", "x", "--attention-backend", "nobody"], SGLANG)
    assert refusals(["python", "-m", "x", "--reasoning-parser", "nobody"], SGLANG)
