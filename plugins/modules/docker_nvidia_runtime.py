#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_nvidia_runtime
version_added: "0.1.0"
short_description: Make NVIDIA's runtime one of Docker's, and keep what daemon.json says
author: inference.fleet contributors (@inference-fleet)
description:
  - Has C(nvidia-ctk runtime configure --runtime=docker) configure a copy of Docker's C(daemon.json), and adds what that
    adds to the file. No key of the file goes, and no value changes.
  - Keeps the old file beside the new one, with the time in its name.
  - Where the file is not valid JSON, or Docker does not take the new one, the module fails, names the line, and leaves
    the file as it is.
  - Docker reads the file at its start. The module does not restart it.
extends_documentation_fragment: inference.fleet.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  path:
    description: Docker's configuration.
    type: path
    default: /etc/docker/daemon.json
seealso:
  - module: inference.fleet.host_info
"""

EXAMPLES = r"""
- name: Make NVIDIA's runtime one of Docker's
  inference.fleet.docker_nvidia_runtime:
  become: true
"""

RETURN = r"""
added:
  description: The keys that were added, or would be in check mode, by their path.
  returned: success
  type: list
  elements: str
  sample: [runtimes.nvidia]
backup_file:
  description: The copy of the old file.
  returned: when there was a file, and it changed
  type: str
  sample: /etc/docker/daemon.json.4711.2026-11-24@12:00:00~
"""

import os
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.inference.fleet.plugins.module_utils.answers import answer
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host import command, daemon_config


def main() -> None:
    module = AnsibleModule(
        argument_spec={"path": {"type": "path", "default": str(daemon_config.PATH)}}, supports_check_mode=True
    )
    # A link stays a link.
    answer(module, lambda: configure(module, Path(os.path.realpath(module.params["path"]))))


def configure(module: AnsibleModule, path: Path) -> dict:
    """Add NVIDIA's runtime to the configuration; return the module's result."""
    text, current = daemon_config.read(path)
    with tempfile.TemporaryDirectory(prefix="inference.fleet-", dir=module.tmpdir) as directory:
        copy = Path(directory) / "daemon.json"
        new = daemon_config.merged(current, _proposed(copy, text, path))
        if new == current:
            return {"changed": False, "added": []}
        content = daemon_config.render(new)
        copy.write_text(content, encoding="utf-8")
        _validate(copy, path)
        result = {
            "changed": True,
            "added": _added(current, new),
            "diff": {"before_header": str(path), "after_header": str(path), "before": text, "after": content},
        }
        if module.check_mode:
            return result
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if path.exists():
            result["backup_file"] = module.backup_local(str(path))
        else:
            copy.chmod(0o644)
        module.atomic_move(str(copy), str(path))
    return result


def _proposed(copy: Path, text: str, path: Path) -> dict:
    """Return what the toolkit would make of the configuration."""
    if text.strip():
        copy.write_text(text, encoding="utf-8")
    argv = ["nvidia-ctk", "runtime", "configure", "--runtime=docker", f"--config={copy}"]
    code, _output, error = command.run(argv)
    if code:
        raise FleetError(
            f"{' '.join(argv[:4])} failed on a copy of {path} (exit code {code}): {' '.join(error.split())[:300]}. "
            "The file was left as it is."
        )
    return daemon_config.read(copy)[1]


def _validate(copy: Path, path: Path) -> None:
    """Have Docker read the new configuration; engines before 23.0 cannot be asked to."""
    code, output, error = command.run(["dockerd", "--validate", f"--config-file={copy}"])
    said = " ".join((error or output).split())
    if code and code != command.NOT_FOUND and "unknown flag" not in said:
        raise FleetError(
            f"Docker does not take {path} with NVIDIA's runtime in it: {said[:300]}. The file was left as it is."
        )


def _added(current: dict, new: dict, path: str = "") -> list:
    added = []
    for key, value in new.items():
        if key not in current:
            added.append(f"{path}{key}")
        elif value != current[key]:
            added += _added(current[key], value, f"{path}{key}.")
    return added


if __name__ == "__main__":
    main()
