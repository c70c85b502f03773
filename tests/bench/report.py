# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print how large the report's page is, how long it takes to make, and until a browser shows its first screen.

usage: python tests/bench/report.py [runs ...]

By default 1,000 and 10,000 runs of 40 hosts, from a results folder that has its index, as on a second night. Chromium,
where there is one, tells when it painted first, and when the packed data is unpacked.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".build" / "collections"))

from ansible_collections.inference.fleet.plugins.module_utils.reports import html, overview, tables  # noqa: E402
from ansible_collections.inference.fleet.plugins.module_utils.results import load  # noqa: E402
from ansible_collections.inference.fleet.plugins.module_utils.results.published import PUBLISHED  # noqa: E402
from ansible_collections.inference.fleet.tests.integration.local import browser  # noqa: E402
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory  # noqa: E402

HOSTS = 40
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
UNPACKED = "page.data.then(() => performance.now())"


def made(folder: Path) -> tuple[str, float, float]:
    """Return the page of a folder, and the seconds of the wall and of the processor that it took."""
    wall, processor = time.perf_counter(), time.process_time()
    report = overview.report(load.load(folder).documents, PUBLISHED)
    page = html.page(report, tables.text(report))
    return page, time.perf_counter() - wall, time.process_time() - processor


def shown(page: str, folder: Path) -> str:
    """Return when a browser painted the page first and when it had its data, in words."""
    if browser.executable() is None:
        return "no Chromium to show it"
    file = folder / "index.html"
    file.write_text(page, encoding="utf-8")
    # Chromium's pipe takes the lowest numbers, which must not be those of Python's own start of it.
    spare = [os.open(os.devnull, os.O_RDONLY) for _number in range(8)]
    with browser.started(folder / "profile") as chromium:
        chromium.open(file.as_uri(), 1440)
        chromium.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 100)))")
        first, unpacked = chromium.evaluate(PAINTED), chromium.evaluate(UNPACKED)
    for number in spare:
        os.close(number)
    return f"first screen after {first / 1000:.2f} s, data read at the latest after {unpacked / 1000:.2f} s"


def main() -> None:
    for runs in map(int, sys.argv[1:] or (1000, 10_000)):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
            results = Path(folder, "results")
            factory.write(results, *factory.fleet(HOSTS, runs // HOSTS))
            load.load(results)
            page, wall, processor = made(results)
            print(
                f"{runs:>7,} runs: {len(page.encode()) / 1e6:.2f} MB, made in {wall:.2f} s, {processor:.2f} s of a "
                f"processor; {shown(page, Path(folder))}",
                flush=True,
            )


if __name__ == "__main__":
    main()
