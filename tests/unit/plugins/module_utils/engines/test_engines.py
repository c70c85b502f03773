# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every engine file has what the collection asks of it, and every list of engines names them all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ansible_collections.inference.fleet.plugins.module_utils.engines import ENGINES, vllm
from ansible_collections.inference.fleet.plugins.module_utils.extra_args import refuse_managed
from ansible_collections.inference.fleet.plugins.module_utils.serving.options import SET_BY_ACTION
from ansible_collections.inference.fleet.plugins.modules import engine as engine_module

ROOT = Path(__file__).resolve().parents[5]
SHARED = {"__init__", "common", "fit", "spec"}


def test_every_file_is_registered() -> None:
    files = {path.stem for path in (ROOT / "plugins/module_utils/engines").glob("*.py")} - SHARED
    assert files == set(ENGINES)


def test_every_list_of_engines_is_the_same() -> None:
    specs = yaml.safe_load((ROOT / "roles/engine/meta/argument_specs.yml").read_text())
    options = specs["argument_specs"]["main"]["options"]
    assert set(engine_module.argument_spec()["engine"]["choices"]) == set(ENGINES)
    assert set(options["engine_name"]["choices"]) == set(ENGINES)


def test_module_and_role_have_the_same_options() -> None:
    specs = yaml.safe_load((ROOT / "roles/engine/meta/argument_specs.yml").read_text())
    role = {re.sub("^engine_", "", name) for name in specs["argument_specs"]["main"]["options"]}
    # What the action sets; what the role does with the task (a look is the module in check mode); what is only told.
    module = set(engine_module.argument_spec()) - set(SET_BY_ACTION)
    role -= {"look", "external_address", "models_profile", "models_context"}
    # The module's group is made of these of all its hosts.
    role -= {f"group_{name}" for name in ("address", "interface", "port", "public", "firewall")}
    # The role's engine_name is the module's engine: a variable named engine_engine would read badly.
    assert role - {"name"} == module - {"engine"}


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_engine_file_is_complete(name: str) -> None:
    module = ENGINES[name]
    for attribute in (
        "NAME",
        "DEFAULT_IMAGE",
        "IMAGE_GIB",
        "SIMULATED",
        "MANAGED_FLAGS",
        "launch",
        "log",
        "misfit",
        "parallel",
        "image_build",
    ):
        assert hasattr(module, attribute)
    assert module.VERSION_PATH.startswith("/")
    assert module.parse_version({"version": "1.2"}) == "1.2"
    assert module.parse_version({}) is None
    assert module.log().phase("nothing of note") is None
    assert module.log().explain("nothing of note", 1) is None
    assert (module.DEFAULT_IMAGE is None) == (module.image_build() is not None)


def test_managed_flags_accept_other_arguments() -> None:
    refuse_managed(["--max-model-len", "8192", "-O3"], vllm.MANAGED_FLAGS)
