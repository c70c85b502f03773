# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""That the checks on every exchange can fail, and that what they are made of agrees with the API's description."""

from __future__ import annotations

import json

import jsonschema
import pytest

from .conftest import fake, shapes

GOOD = {"region_name": "us-west-1", "instance_type_name": "gpu_1x_h100_sxm5", "ssh_key_names": ["laptop"]}


def launch(asked: dict, answered: object = None) -> object:
    body = json.dumps({"data": answered if answered is not None else {"instance_ids": ["a"]}})
    return fake.Exchange("POST", "instance-operations/launch", asked, 200, body, {"Authorization": "Bearer x"}, 0.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {**GOOD, "quantity": 1},
        {**GOOD, "ssh_key_names": ["a", "b"]},
        {**GOOD, "name": "n" * 65},
        {**GOOD, "tags": [{"key": "with_underscore", "value": "x"}]},
        {key: value for key, value in GOOD.items() if key != "region_name"},
    ],
)
def test_a_wrong_request_is_found(wrong):
    with pytest.raises(jsonschema.ValidationError):
        shapes.check(launch(wrong))
    shapes.check(launch(GOOD))


def test_a_wrong_answer_is_found():
    with pytest.raises(jsonschema.ValidationError):
        shapes.check(launch(GOOD, {"ids": []}))


def test_the_accounts_rules_are_never_written():
    with pytest.raises(ValueError, match="not among what this project may ask"):
        shapes.check(fake.Exchange("PUT", "firewall-rules", {"data": []}, 200, "{}", {}, 0.0))


def test_the_description_finds_the_same():
    description = shapes.described()
    if description is None:
        pytest.skip("the API's description is not at hand: set LAMBDA_OPENAPI to its file")
    shapes.check_described(launch(GOOD), description)
    with pytest.raises(ValueError, match="names no quantity"):
        shapes.check_described(launch({**GOOD, "quantity": 1}), description)
    with pytest.raises(Exception, match=r"(?i)invalid|body|schema"):
        shapes.check_described(launch({**GOOD, "ssh_key_names": "laptop"}), description)
    with pytest.raises(Exception, match=r"(?i)invalid|data|schema"):
        shapes.check_described(launch(GOOD, {"ids": []}), description)
