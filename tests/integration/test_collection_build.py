# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive that users install: what is in it, and that it works with nothing else around."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

# One archive for all of them.
pytestmark = pytest.mark.xdist_group("collection")
ROOT = Path(__file__).resolve().parents[2]
# What a collection is made of; whatever else stands at the top of the checkout stays there.
SHIPPED = {
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "FILES.json",
    "LICENSE",
    "MANIFEST.json",
    "README.md",
    "SECURITY.md",
    "changelogs",
    "docs",
    "inventories",
    "meta",
    "playbooks",
    "plugins",
    "requirements.txt",
    "roles",
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # A copy of what git tracks or would track, so that nobody's own files get in the way.
    copy = tmp_path_factory.mktemp("copy")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    out = tmp_path_factory.mktemp("archive")
    run(["ansible-galaxy", "collection", "build", str(copy), "--output-path", str(out)], out, out)
    return next(out.glob("*.tar.gz"))


@pytest.fixture(scope="module")
def installed(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("collections")
    run(["ansible-galaxy", "collection", "install", "--offline", "-p", str(place), str(archive)], place, place)
    return place


def run(command: list[str], folder: Path, collections: Path) -> str:
    """Run a command in a folder with no ansible.cfg and no other collection."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    environment["ANSIBLE_COLLECTIONS_PATH"] = str(collections)
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_archive_has_the_collection_and_nothing_else(archive: Path) -> None:
    with tarfile.open(archive) as content:
        names = {name.split("/")[0] for name in content.getnames()}
    assert names == SHIPPED


def test_every_page_links_to_what_is_shipped(installed: Path) -> None:
    root = installed / "ansible_collections/inference/fleet"
    pages = [*root.glob("*.md"), *root.glob("docs/*.md"), *root.glob("roles/*/README.md")]
    broken = [
        f"{page.relative_to(root)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
        if not target.startswith("https://") and not (page.parent / target).exists()
    ]
    assert len(pages) > 10
    assert broken == []


@pytest.mark.parametrize("playbook", ["deploy", "verify", "benchmark", "report", "teardown", "site"])
def test_playbooks_run_from_an_empty_folder(installed: Path, tmp_path: Path, playbook: str) -> None:
    command = ["ansible-playbook", f"inference.fleet.{playbook}", "-i", "h100-1,", "-l", "h100-1", "--list-tasks"]
    assert "inference.fleet" in run(command, tmp_path, installed)


@pytest.fixture(scope="module")
def documented(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What ansible-doc says of each module, by its name: options of its fragments among its own."""
    folder = tmp_path_factory.mktemp("documented")
    listed = json.loads(run(["ansible-doc", "-t", "module", "-l", "-j", "inference.fleet"], folder, installed))
    shown = json.loads(run(["ansible-doc", "-t", "module", "-j", *listed], folder, installed))
    return {name.rpartition(".")[2]: module for name, module in shown.items()}


def test_every_module_has_its_documentation(documented: dict[str, Any]) -> None:
    assert set(documented) == {path.stem for path in (ROOT / "plugins/modules").glob("*.py")}
    for name, module in documented.items():
        assert module["doc"]["short_description"], name
        assert module["examples"], name
        assert module["return"], name


def test_every_role_has_its_documentation(installed: Path, tmp_path: Path) -> None:
    listed = json.loads(run(["ansible-doc", "-t", "role", "-l", "-j", "inference.fleet"], tmp_path, installed))
    assert {name.rpartition(".")[2] for name in listed} == {path.name for path in (ROOT / "roles").iterdir()}


@pytest.mark.parametrize(
    ("group", "shared"),
    [
        ("docker", {"docker_host"}),
        ("endpoint", {"url", "served_model_name", "api_key"}),
        ("results", {"results_dir"}),
    ],
)
def test_an_action_group_has_every_module_that_takes_its_options(
    group: str, shared: set[str], documented: dict[str, Any]
) -> None:
    groups = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["action_groups"]
    assert set(groups[group]) == {name for name, each in documented.items() if shared <= set(each["doc"]["options"])}


@pytest.mark.parametrize("role", sorted(path.name for path in (ROOT / "roles").iterdir()))
def test_a_role_s_defaults_are_its_argument_specs(role: str) -> None:
    defaults = yaml.safe_load((ROOT / "roles" / role / "defaults/main.yml").read_text())
    specs = yaml.safe_load((ROOT / "roles" / role / "meta/argument_specs.yml").read_text())
    entries = specs["argument_specs"]
    # Other entry points share the file of defaults.
    options = {
        **{k: v for entry in entries.values() for k, v in entry.get("options", {}).items()},
        **entries["main"]["options"],
    }
    # What is not set may mean something that no value does.
    assert {name for name, option in entries["main"]["options"].items() if "default" in option} <= set(defaults)
    assert set(defaults) <= {name for name, option in options.items() if "default" in option}
    for name, default in defaults.items():
        assert options[name]["default"] == default, name
    assert all(name.startswith(f"{role}_") for name in options)


def test_the_two_ansible_cfg_say_the_same() -> None:
    at_the_root = (ROOT / "ansible.cfg").read_text()
    in_playbooks = (ROOT / "playbooks/ansible.cfg").read_text()
    assert in_playbooks.replace("../", "") == at_the_root


def test_a_playbook_runs_from_its_folder_and_from_the_root() -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    for folder, name in ((ROOT, "playbooks/deploy.yml"), (ROOT / "playbooks", "deploy.yml")):
        done = subprocess.run(
            ["ansible-playbook", name, "-l", "h100", "--list-hosts"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "h100-1.example.com" in done.stdout
