# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two simulators that serve one model together, as vLLM on two hosts was seen to."""

from __future__ import annotations

import asyncio

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.simulator.asked import Refused
from ansible_collections.inference.fleet.plugins.module_utils.simulator.members import Members, follow


def test_a_head_waits_for_its_members_and_fails_the_request_after_one_is_gone() -> None:
    lost: list[bool] = []

    async def life() -> None:
        head = Members(1, lost=lambda: lost.append(True))
        listener = await head.listen("127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        loading = asyncio.ensure_future(head.wait())
        await asyncio.sleep(0)
        assert not loading.done()
        member = asyncio.ensure_future(follow("127.0.0.1", port))
        await loading
        await head.work()
        await head.work()
        member.cancel()
        await asyncio.gather(member, return_exceptions=True)
        assert not lost, "nothing shows it before a request"
        with pytest.raises(Refused, match="a member is gone"):
            await head.work()
        listener.close()

    asyncio.run(asyncio.wait_for(life(), 120))
    assert lost


def test_a_member_outlives_its_head() -> None:
    async def life() -> None:
        head = Members(1)
        listener = await head.listen("127.0.0.1", 0)
        member = asyncio.ensure_future(follow("127.0.0.1", listener.sockets[0].getsockname()[1]))
        await head.wait()
        for _reader, writer in head._joined:
            writer.close()
        await member
        listener.close()

    asyncio.run(asyncio.wait_for(life(), 120))


def test_one_alone_waits_for_nobody() -> None:
    async def life() -> None:
        alone = Members(0)
        await alone.wait()
        await alone.work()

    asyncio.run(asyncio.wait_for(life(), 120))
