# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands in README and docs: each is run by a test, or stands here with the reason why not."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ansible.cli.playbook import PlaybookCLI
from ansible.parsing.splitter import parse_kv

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("roles/*/README.md")])
# What tests/fleet/test_readme.py runs as it is printed, on a host over SSH.
RUN = {"README.md": (1, 2)}
# Commands by their beginning, and who runs them instead.
ELSEWHERE = {
    "git clone": "CI begins with a clone",
    "make demo ENGINE=vllm VARS=": "it needs a registry, as the page says",
    "make demo": "a part of make test",
    "make setup": "every part of make test begins with it",
    "make test": "CI runs it",
    "make release": "test_release.py runs what it calls",
    "ssh -N -L": "it lasts until it is ended; the rig's hosts are reached by ssh all the time",
    "ansible-vault encrypt_string": "it asks for a password",
    "curl http://127.0.0.1:8000/v1/chat/completions": "the demo prints the same; verify sends the same request",
    "ansible-galaxy collection install --upgrade": "test_readme.py installs in the same way",
    "pip install -r": "test_readme.py runs it",
}
# Variables of the playbooks themselves; all others are options of a role.
OF_PLAYBOOKS = {
    "model",
    "deploy_serial",
    "deploy_verify",
    "deploy_max_fail_percentage",
    "fleet_dir",
    "fleet_hosts",
    "gateway_hosts",
}


# What others say, in the pages' tables of symptoms.
OF_OTHERS = {
    "the role 'inference.fleet.…' was not found",
    "sudo: a password is required",
    "Failed to initialize NVML: Driver/library version mismatch",
    "infoROM is corrupted",
    "unsatisfied condition: brand = …",
    "Key was rejected by service",
    'could not select device driver "" with capabilities: [[gpu]]',
    "/v1/v1/…",
    "model … does not exist",
}


def blocks(path: Path) -> list[str]:
    """Return the console blocks of a page."""
    return re.findall(r"^```console\n(.*?)^```", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def commands() -> Iterator[tuple[str, str]]:
    """Yield each command with its page, of blocks that are not run as they are."""
    for path in DOCUMENTS:
        name = str(path.relative_to(ROOT))
        for index, block in enumerate(blocks(path)):
            if index not in RUN.get(name, ()):
                for command in block.replace("\\\n", " ").strip().splitlines():
                    yield name, command.strip()


def roles_options() -> set[str]:
    return {
        name
        for path in ROOT.glob("roles/*/meta/argument_specs.yml")
        for entry in yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].values()
        for name in entry.get("options") or {}
    }


@pytest.mark.parametrize(("page", "command"), sorted(set(commands())))
def test_a_command_is_known(page: str, command: str) -> None:
    if not command.startswith("ansible-playbook"):
        reasons = [why for begins, why in ELSEWHERE.items() if command.startswith(begins)]
        assert reasons, f"{page}: say in this file who runs {command!r}"
        return
    names = re.findall(r"\b([a-z]+(?:_[a-z]+)+)(?:=|\"?:)", command)
    assert set(names) <= roles_options() | OF_PLAYBOOKS, page
    parsed = PlaybookCLI(["ansible-playbook"])
    parsed.init_parser()
    options = parsed.parser.parse_args(shlex.split(command)[1:])
    for variables in options.extra_vars:
        if variables.startswith("@"):
            assert (ROOT / variables[1:]).exists()
        else:
            assert isinstance(parse_kv(variables) if variables[0] != "{" else yaml.safe_load(variables), dict), (
                variables
            )
    for playbook in options.args:
        # As where the collection is installed, or by a path of the checkout.
        name = playbook.removeprefix("inference.fleet.")
        assert (ROOT / (f"playbooks/{name}.yml" if name != playbook else playbook)).exists(), f"{page}: {playbook}"


def test_every_reason_is_needed() -> None:
    others = [command for _page, command in commands() if not command.startswith("ansible-playbook")]
    assert [begins for begins in ELSEWHERE if not any(command.startswith(begins) for command in others)] == []


def test_a_symptom_is_what_the_collection_says() -> None:
    text = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    seen = re.findall(r"^\| (?!What is seen)(.*?) \|", text, flags=re.MULTILINE)
    quoted = {quote for cell in seen for quote in re.findall(r"`([^`]+)`", cell)}
    sources = [*ROOT.glob("plugins/**/*.py"), *ROOT.glob("roles/*/tasks/*.yml")]
    # A message may go over several lines of its source.
    said = re.sub(r'"\s*\n\s*f?"', "", "\n".join(path.read_text(encoding="utf-8") for path in sources))
    assert len(quoted - OF_OTHERS) >= 5
    # Numbers are examples.
    words = {quote: max(re.split(r"[\d…]+", quote), key=len).strip(" ,:") for quote in quoted - OF_OTHERS}
    assert [quote for quote, piece in words.items() if piece not in said] == []
    assert quoted >= OF_OTHERS
