# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the modules that speak with Lambda Cloud."""

from __future__ import annotations


class ModuleDocFragment:
    """The account, and how it is asked."""

    DOCUMENTATION = r"""
options:
  api_key:
    description:
      - The API key. It stands in no log, no result and no argument list.
      - Without it and without O(api_key_file), the environment variable E(LAMBDA_API_KEY) of the control host is taken.
    type: str
  api_key_file:
    description: A file on the control host that holds the key.
    type: path
  api_url:
    description:
      - The address of the API. Default is E(LAMBDA_API_URL) of the control host, else
        V(https://cloud.lambda.ai/api/v1).
    type: str
  request_interval:
    description:
      - Seconds between two requests of all processes of this user on the control host. Lambda allows one a second.
    type: float
    default: 1.0
  launch_interval:
    description: Seconds between two launches, likewise. Lambda allows one in 12 seconds for the whole account.
    type: float
    default: 13.0
  settle_timeout:
    description:
      - Seconds that the API may take to show what it has done. For so long is looked after an answer that was lost,
        before anything is tried again.
    type: float
    default: 120.0
  api_timeout:
    description: Seconds that one request may take.
    type: float
    default: 60.0
requirements:
  - requests, on the control host
notes:
  - Runs on the control host and connects to no host, whatever host the task is for. Use C(run_once).
  - Reads are tried again for 300 seconds where the API does not answer. What must not be done twice is looked for
    first.
"""
