# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures GPUs, or CPUs in their place. Runs by itself, with torch and nothing of the collection.

usage: program.py OPTIONS, a JSON object:
C(folder) (where it writes and is watched), C(devices) (such as ["cuda:0", "cuda:1"], or "cpu" several times),
C(seconds) of load, C(limit) in seconds for all of it, and C(sizes) (C(copy_mib), C(matrix), C(reduce_mib),
C(memory_share), C(memory_mib), C(repeats)).

It writes a JSON object a line to FOLDER/figures: {"device", "stage"} where a stage begins, {"device", "figures"} where
one has ended, {"device", "error", "stage"} where one failed. Each device has a process of its own, so that all are
under load at once and one that dies is known by its number. Where FOLDER/alive is not touched for SILENCE seconds,
whoever started this is gone: it ends, too.
"""

# Runs outside modules too, where there is no run_command.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time

SILENCE = 20.0
# Bytes in units as datasheets have them.
GB, MIB = 1e9, 2**20
FAILED, LOST, LATE = 3, 4, 5


def main() -> int:
    """Start a process a device, and return when all have ended; where one fails, the others are ended."""
    options = json.loads(sys.argv[1])
    if len(sys.argv) > 2:
        return Worker(options, int(sys.argv[2])).run()
    begun = time.monotonic()
    command = [sys.executable, os.path.abspath(__file__), sys.argv[1]]
    workers = [subprocess.Popen([*command, str(rank)]) for rank in range(len(options["devices"]))]
    code = 0
    try:
        while code == 0:
            codes = [worker.poll() for worker in workers]
            code = next((each for each in codes if each), 0)
            if None not in codes or code:
                break
            if time.monotonic() - begun > options["limit"]:
                code = LATE
            if silent(options["folder"]) > SILENCE:
                code = LOST
            time.sleep(0.1)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    return code if code > 0 else FAILED if code else 0


def silent(folder: str) -> float:
    """Return for how many seconds nobody has said that this is still wanted."""
    try:
        return time.time() - os.stat(os.path.join(folder, "alive")).st_mtime
    except OSError:
        return float("inf")


def watch_parent(parent: int) -> None:
    """End with the process that started this one, however it ended."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(LOST)


class Worker:
    """What is done on one device."""

    def __init__(self, options: dict, rank: int) -> None:
        self.options, self.rank, self.sizes = options, rank, options["sizes"]
        self.name, self.count = options["devices"][rank], len(options["devices"])
        self.stage = "start"

    def run(self) -> int:
        threading.Thread(target=watch_parent, args=(os.getppid(),), daemon=True).start()
        try:
            self.begin("starting torch")
            self.start()
            for name, measure in (
                ("memory bandwidth", self.copy),
                ("matrix products", self.products),
                ("host bandwidth", self.host),
                ("peer bandwidth", self.peers),
                ("all-reduce", self.all_reduce),
                ("memory", self.memory),
            ):
                self.begin(name)
                self.tell(figures=measure())
                self.barrier()
        except Exception as error:  # whatever a driver raises is told
            said = " ".join(str(error).split())[:500]
            self.tell(error=f"{type(error).__name__}: {said}", stage=self.stage)
            return FAILED
        return 0

    def tell(self, **found: object) -> None:
        """Write a line; one write is whole beside those of the other processes."""
        line = json.dumps({"device": self.rank, **found}) + "\n"
        place = os.open(os.path.join(self.options["folder"], "figures"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(place, line.encode())
        finally:
            os.close(place)

    def begin(self, stage: str) -> None:
        self.stage = stage
        self.tell(stage=stage)

    def start(self) -> None:
        import torch

        self.torch = torch
        self.cuda = self.name.startswith("cuda")
        if self.cuda:
            torch.cuda.set_device(self.name)
        else:
            torch.set_num_threads(1)
        self.device = torch.device(self.name)
        torch.manual_seed(self.rank)
        torch.ones(1, device=self.device)
        self.group = None
        if self.count > 1:
            import datetime

            from torch import distributed

            self.distributed = distributed
            store = "file://" + os.path.join(self.options["folder"], "meeting")
            patience = datetime.timedelta(seconds=self.options["limit"])
            distributed.init_process_group("gloo", store, patience, self.count, self.rank)
            self.group = distributed.new_group(backend="nccl" if self.cuda else "gloo", timeout=patience)
        self.tell(figures={"torch": torch.__version__, "cuda": torch.version.cuda})

    def barrier(self) -> None:
        """Wait for the others. Where one of them has died that is told by it, and not by those that waited for it."""
        if self.count == 1:
            return
        try:
            self.distributed.barrier()
        except RuntimeError:
            time.sleep(60)
            os._exit(LOST)

    def sync(self) -> None:
        if self.cuda:
            self.torch.cuda.synchronize(self.device)

    def seconds(self, work, repeats: int | None = None) -> float:
        """Return the seconds that one turn of the work takes: the best of three rounds, warm."""
        repeats = repeats or self.sizes["repeats"]
        work()
        self.sync()
        best = float("inf")
        for _round in range(3):
            begun = time.perf_counter()
            for _turn in range(repeats):
                work()
            self.sync()
            best = min(best, (time.perf_counter() - begun) / repeats)
        return best

    def copy(self) -> dict:
        """Copy within the device's memory: each byte is read and written."""
        size = self.sizes["copy_mib"] * MIB
        source = self.torch.ones(size, dtype=self.torch.uint8, device=self.device)
        target = self.torch.empty_like(source)
        return {"memory_gb_s": 2 * size / self.seconds(lambda: target.copy_(source)) / GB}

    def products(self) -> dict:
        torch, size = self.torch, self.sizes["matrix"]
        operations = 2 * size**3 / 1e12
        left, right = (torch.randn(size, size, device=self.device, dtype=torch.bfloat16) for _side in "ab")
        self.left, self.right, self.out = left, right, torch.empty_like(left)
        found = {"bf16_tflop_s": operations / self.seconds(lambda: torch.mm(left, right, out=self.out))}
        try:
            # Below in the same words as where torch itself has none: it is told, and no fault of the GPU.
            if self.cuda and torch.cuda.get_device_capability(self.device) < (8, 9):
                raise NotImplementedError("it has no fp8")
            one = torch.ones((), device=self.device)
            narrow, other = (each.to(torch.float8_e4m3fn) for each in (left, right))

            def multiply() -> None:
                torch._scaled_mm(narrow, other.t(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16)

            found["fp8_tflop_s"] = operations / self.seconds(multiply)
        except (AttributeError, NotImplementedError, TypeError) as error:
            found["fp8_missing"] = str(error)[:200]
        return found

    def host(self) -> dict:
        """Copy from the host, one device after another: they may share a switch."""
        size = self.sizes["copy_mib"] * MIB // 4
        source = self.torch.ones(size, dtype=self.torch.uint8, pin_memory=self.cuda)
        target = self.torch.empty(size, dtype=self.torch.uint8, device=self.device)
        return self.in_turn(lambda: {"from_host_gb_s": size / self.seconds(lambda: target.copy_(source)) / GB})

    def peers(self) -> dict:
        """Copy to each other device, one pair after another."""
        size = self.sizes["copy_mib"] * MIB // 4

        def measure() -> dict:
            source = self.torch.ones(size, dtype=self.torch.uint8, device=self.device)
            found = {}
            for other, name in enumerate(self.options["devices"]):
                if other != self.rank:
                    target = self.torch.empty(size, dtype=self.torch.uint8, device=name)
                    found[str(other)] = size / self.seconds(lambda target=target: target.copy_(source)) / GB
            return {"to_peers_gb_s": found}

        return self.in_turn(measure) if self.count > 1 else {}

    def in_turn(self, measure) -> dict:
        found: dict = {}
        for rank in range(self.count):
            if rank == self.rank:
                found = measure()
            self.barrier()
        return found

    def all_reduce(self) -> dict:
        """The bus bandwidth as nccl-tests define it."""
        if self.count == 1:
            return {}
        size = self.sizes["reduce_mib"] * MIB
        values = self.torch.zeros(size // 4, dtype=self.torch.float32, device=self.device)
        seconds = self.seconds(lambda: self.distributed.all_reduce(values, group=self.group))
        return {"all_reduce_gb_s": 2 * (self.count - 1) / self.count * size / seconds / GB}

    def memory(self) -> dict:
        """Fill most of the free memory with a pattern, have it stand under load, and look whether it is still there."""
        size = self.sizes["memory_mib"] * MIB
        if self.cuda:
            self.torch.cuda.empty_cache()
            size = int(self.torch.cuda.mem_get_info(self.device)[0] * self.sizes["memory_share"])
        chunk = 256 * MIB
        lengths = [chunk // 4] * (size // chunk) + [size % chunk // 4] * bool(size % chunk >= 4)
        wrong = 0
        # Each bit is once 0 and once 1.
        for flip in (0, -1):
            held = [self.pattern(length, number, flip) for number, length in enumerate(lengths)]
            wrong += sum(self.differing(each, number, flip) for number, each in enumerate(held))
        self.barrier()
        self.begin("load")
        load = self.load()
        wrong += sum(self.differing(each, number, -1) for number, each in enumerate(held))
        return {"memory_tested_mib": size // MIB, "memory_wrong_words": wrong, **load}

    def pattern(self, length: int, number: int, flip: int):
        # Other values in each place and each chunk, so that a wrong address shows as well as a wrong bit.
        found = self.torch.arange(length, dtype=self.torch.int32, device=self.device)
        return found.mul_(-1640531527).add_(number * 40503).bitwise_xor_(flip)

    def differing(self, held, number: int, flip: int) -> int:
        return int(self.torch.ne(held, self.pattern(held.numel(), number, flip)).sum().item())

    def load(self) -> dict:
        """Multiply for as long as is wanted; figures of each second or so."""
        operations = 2 * self.sizes["matrix"] ** 3 / 1e12
        turns = max(1, self.sizes["repeats"])
        seconds: list[float] = []
        begun = time.perf_counter()
        while time.perf_counter() - begun < self.options["seconds"] or len(seconds) < 3:
            start = time.perf_counter()
            for _turn in range(turns):
                self.torch.mm(self.left, self.right, out=self.out)
            self.sync()
            took = time.perf_counter() - start
            seconds.append(took / turns)
            turns = max(1, min(10_000, round(turns / max(took, 1e-6))))
        rates = [operations / each for each in seconds[1:]]
        third = max(1, len(rates) // 3)
        middle = sorted(rates)[len(rates) // 2]
        first, last = (sorted(part)[len(part) // 2] for part in (rates[:third], rates[-third:]))
        return {
            "load_s": time.perf_counter() - begun,
            "load_tflop_s": middle,
            "load_first_tflop_s": first,
            "load_last_tflop_s": last,
        }


if __name__ == "__main__":
    raise SystemExit(main())
