# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Schedules on a real control host: systemd starts the real ansible-playbook, which benchmarks this machine over SSH.

The control host is a container with systemd; another one has cron and no systemd. The benchmarked engine is the
simulator in a container of this machine, and the client is the real AIPerf. The tests are one story: each goes on
where the one before it ended.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shlex
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jsonschema
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from ssh_host import SshHost  # noqa: E402  (its folder is on the path only now)

from ansible_collections.inference.fleet.tests.patience import until  # noqa: E402  (likewise)

FLEET = ROOT / "tests/fleet/fleet"
NAME, CRON = "schedule", "schedule-cron"
AIPERF = ROOT / ".build/venvs/aiperf/bin/aiperf"
TAG = os.environ.get("FLEET_TAG", "")
CONTAINER = f"schedule-test{TAG}"
SECRET, TOKEN = "key-of-the-schedule-5309", "token-of-the-hook-2718"
UNIT = "inference-fleet-schedule-"
RUNNER = "/usr/local/lib/inference.fleet/schedule.py"
STAMPS = "/var/lib/systemd/timers"
SIOCGIFADDR = 0x8915


@dataclass
class Machine:
    """A container of the fleet script, by its name."""

    name: str

    def sh(self, script: str, *, check: bool = True, stdin: bytes = b"") -> str:
        """Run a shell script as root, and return what it printed."""
        argv = ["docker", "exec", "--interactive", self.name, "sh", "-c", script]
        done = subprocess.run(argv, input=stdin, capture_output=True, check=False)
        output = done.stdout.decode(errors="replace")
        assert not check or done.returncode == 0, f"{script}\n{output}{done.stderr.decode(errors='replace')}"
        return output.strip()

    def write(self, path: str, content: bytes | str, mode: str = "644") -> None:
        data = content.encode() if isinstance(content, str) else content
        self.sh(f"install -D -m {mode} /dev/stdin {path}", stdin=data)

    def unpack(self, archive: list[str], target: str) -> None:
        """Unpack what a command writes as a tar archive."""
        with subprocess.Popen(archive, stdout=subprocess.PIPE, cwd=ROOT) as packing:
            into = ["docker", "exec", "--interactive", self.name, "tar", "-x", "-C", target]
            subprocess.run(into, stdin=packing.stdout, check=True)
        assert packing.returncode == 0

    def journal(self, schedule: str) -> str:
        return self.sh(f"journalctl --sync; journalctl --no-pager -o cat -t {UNIT}{schedule}")


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout.strip()


@dataclass
class Hooked:
    """What a webhook got: headers and JSON."""

    url: str
    got: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)


@pytest.fixture(scope="module")
def webhook() -> Iterator[Hooked]:
    """A real HTTP server where the hosts reach it. It is unwell at the first attempt."""
    hooked = Hooked("")

    class Handler(BaseHTTPRequestHandler):
        unwell = True

        def log_message(self, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            well, Handler.unwell = not Handler.unwell, False
            if well:
                hooked.got.append((dict(self.headers), body))
            self.send_response(200 if well else 503)
            self.end_headers()

    with ThreadingHTTPServer((gateway(), 0), Handler) as server:
        hooked.url = f"http://{gateway()}:{server.server_address[1]}/hooks/a-secret-path"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield hooked
        server.shutdown()


def gateway() -> str:
    """Return this machine's address, as its containers have it.

    That of the bridge itself: until its daemon was restarted once, Docker 20.10 does not name it as the gateway.
    """
    option = '{{index .Options "com.docker.network.bridge.name"}}'
    bridge = docker("network", "inspect", "bridge", "--format", option).encode()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        answer = fcntl.ioctl(asked, SIOCGIFADDR, struct.pack("256s", bridge))
    return socket.inet_ntoa(answer[20:24])


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshHost]:
    """This machine behind an sshd, with the simulator deployed on it."""
    if os.geteuid() != 0:
        pytest.skip("an sshd of the tests' own needs root")
    if not AIPERF.exists():
        pytest.skip(f"no AIPerf in {AIPERF}: 'make test PARTS=schedule' brings it")
    with SshHost(gateway()) as host:
        host.work = tmp_path_factory.mktemp("work")  # type: ignore[attr-defined]
        with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as free:
            host.engine_port = free.server_address[1]  # type: ignore[attr-defined]
        inventory = tmp_path_factory.mktemp("target") / "hosts.json"
        here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        inventory.write_text(json.dumps({"all": {"hosts": {"gpu-1": {**here, **engine(host)}}}}))
        deploy = ["ansible-playbook", "-i", str(inventory), "-e", "ansible_become=false"]
        try:
            subprocess.run([*deploy, "playbooks/deploy.yml"], cwd=ROOT, check=True, stdin=subprocess.DEVNULL)
            yield host
        finally:
            subprocess.run([*deploy, "playbooks/teardown.yml"], cwd=ROOT, check=False, stdin=subprocess.DEVNULL)


def engine(host: SshHost) -> dict[str, Any]:
    """Return what the inventory says of the benchmarked host."""
    return {
        "engine_name": "simulator",
        "engine_container_name": CONTAINER,
        "engine_port": host.engine_port,  # type: ignore[attr-defined]
        "benchmark_client_path": str(AIPERF),
        "benchmark_work_dir": str(host.work),  # type: ignore[attr-defined]
        "benchmark_input_length": 64,
        "benchmark_output_length": 8,
        "benchmark_num_prompts": 4,
        "benchmark_max_concurrency": 2,
        "benchmark_repeats": 1,
    }


@pytest.fixture(scope="module")
def machines(target: SshHost) -> Iterator[tuple[Machine, Machine]]:
    """Two control hosts with the real Ansible, this collection, an inventory and a key: with systemd, and with cron."""
    try:
        with ThreadPoolExecutor() as pool:
            ups = [([NAME], "systemd"), ([CRON], "none")]
            list(pool.map(lambda up: fleet("up", "1", "--name", *up[0], "--init", up[1]), ups))
        control, plain = Machine(f"{NAME}{TAG}-1"), Machine(f"{CRON}{TAG}-1")
        with ThreadPoolExecutor() as pool:
            waits = [pool.submit(install_ansible, control), pool.submit(install_cron, plain)]
            for each in waits:
                each.result()
        plain.unpack(["docker", "exec", control.name, "tar", "-c", "-C", "/", "opt/ansible"], "/")
        for machine in (control, plain):
            give_inventory(machine, target)
        yield control, plain
    finally:
        for name in (NAME, CRON):
            fleet("down", "--name", name)


def fleet(*arguments: str) -> None:
    subprocess.run([sys.executable, str(FLEET), *arguments], check=True, stdin=subprocess.DEVNULL)


def install_ansible(machine: Machine) -> None:
    machine.sh(
        "python3 -m venv /opt/ansible && "
        "/opt/ansible/bin/pip install -q --no-input --disable-pip-version-check -r /dev/stdin",
        stdin=(ROOT / "requirements.txt").read_bytes(),
    )


def install_cron(machine: Machine) -> None:
    machine.sh(
        "export DEBIAN_FRONTEND=noninteractive; apt-get update -qq && "
        "apt-get install -qq -y --no-install-recommends cron >/dev/null 2>&1 && cron"
    )


def give_inventory(machine: Machine, target: SshHost) -> None:
    """Put the collection, an inventory and the key to its one host in /srv/fleet, which belongs to the user fleet."""
    collection = "/srv/fleet/collections/ansible_collections/inference/fleet"
    machine.sh(f"useradd --create-home fleet; install -d -o fleet /srv/fleet; mkdir -p {collection}")
    machine.unpack(["tar", "-c", "plugins", "roles", "playbooks", "meta", "galaxy.yml"], collection)
    for name, path in target.files.items():
        machine.write(f"/srv/fleet/{name}", path.read_bytes(), mode="600 -o fleet")
    options = "-F none -o UserKnownHostsFile=/srv/fleet/known_hosts -o IdentitiesOnly=yes"
    there = {
        "ansible_host": target.address,
        "ansible_port": target.port,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": "/srv/fleet/id_ed25519",
        "ansible_ssh_common_args": options,
        "ansible_python_interpreter": sys.executable,
        "ansible_become": False,
        "a_key": "{{ lookup('ansible.builtin.env', 'A_KEY') }}",
        **engine(target),
    }
    machine.write("/srv/fleet/hosts.yml", json.dumps({"gpus": {"hosts": {"gpu-1": there}}}))
    plays = {
        "slow": [{"ansible.builtin.shell": "echo the key is {{ a_key }}; sleep 300"}],
        "wrong": [{"ansible.builtin.fail": {"msg": "wrong on purpose with {{ a_key }}"}}],
        "quick": [{"ansible.builtin.debug": {"msg": "the key has {{ a_key | length }} letters"}}],
    }
    for name, tasks in plays.items():
        play = [{"hosts": "all", "connection": "local", "gather_facts": False, "tasks": tasks}]
        play[0]["vars"] = {"ansible_python_interpreter": "/usr/bin/python3"}
        machine.write(f"/srv/fleet/{name}.yml", json.dumps(play))


@pytest.fixture(scope="module")
def control(machines: tuple[Machine, Machine]) -> Machine:
    return machines[0]


@pytest.fixture(scope="module")
def plain(machines: tuple[Machine, Machine]) -> Machine:
    return machines[1]


COMMON = {
    "schedule_user": "fleet",
    "schedule_directory": "/srv/fleet",
    "schedule_ansible_playbook": "/opt/ansible/bin/ansible-playbook",
    "schedule_inventory": ["hosts.yml"],
    "schedule_collections_path": "/srv/fleet/collections",
    "schedule_environment": {"A_KEY": SECRET},
    "schedule_webhook_token": TOKEN,
}
# Half a day away: only what the tests do sets it off.
DUE = f"*-*-* {datetime.now(timezone.utc) + timedelta(hours=12):%H}:00 UTC"
NIGHTLY = {"name": "nightly", "limit": "gpus", "on_calendar": DUE, "variables": {"benchmark_num_prompts": 4}}


@dataclass
class Playbook:
    """What a run of schedule.yml gave."""

    output: str
    code: int

    @property
    def changed(self) -> int:
        return int(re.search(r"changed=(\d+)", self.output)[1])


def play(machine: Machine, folder: Path, *arguments: str, **variables: Any) -> Playbook:
    """Run the playbook schedule.yml of this checkout against a control host, over SSH."""
    fleet_name = machine.name.rpartition("-")[0].removesuffix(TAG)
    group = folder / f"{machine.name}.json"
    host = {"ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"}
    group.write_text(json.dumps({"control": {"hosts": {machine.name: host}}}))
    values = folder / "variables.json"
    values.write_text(json.dumps({**COMMON, **variables}))
    inventories = ["-i", str(ROOT / f".build/fleet-{fleet_name}/inventory.yml"), "-i", str(group)]
    command = ["ansible-playbook", *inventories, "--diff", "-e", f"@{values}", *arguments, "playbooks/schedule.yml"]
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return Playbook(done.stdout + done.stderr, done.returncode)


def ours(machine: Machine) -> list[str]:
    """Return every file of the collection's on a control host, by its names."""
    found = machine.sh(
        "find / -xdev \\( -path /proc -o -path /sys -o -path /srv/fleet -o -path /opt/ansible -o -path /home \\) "
        "-prune -o \\( -name '*inference-fleet*' -o -name '*inference.fleet*' \\) -print"
    )
    return sorted(found.splitlines())


def documents(machine: Machine) -> list[str]:
    """Return the files in the folder of results, hidden ones too."""
    return sorted(machine.sh("ls -A /srv/fleet/results 2>/dev/null || true").split())


def clients(host: SshHost) -> list[int]:
    """Return the processes of benchmark clients of these tests."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        # What only makes ready for one has the directory among its words too.
        if b"profile" in words and any(str(host.work).encode() in word for word in words):  # type: ignore[attr-defined]
            found.append(int(path.parent.name))
    return found


def test_a_line_of_cron_is_there_from_the_first_minute_on(plain: Machine, webhook: Hooked, tmp_path: Path) -> None:
    """It is set up first, and looked at last: cron counts in minutes."""
    schedule = {
        "name": "minutely",
        "limit": "gpu-1",
        "on_calendar": "minutely",
        "playbooks": ["quick.yml", "wrong.yml"],
    }
    command = ["sh", "-c", "cat > /srv/fleet/told.json"]
    variables = {"schedule_benchmarks": [schedule], "schedule_on_failure_command": command}
    ran = play(plain, tmp_path, **variables)
    assert (ran.code, ran.changed) == (0, 1), ran.output
    assert "a run that is missed while the host is down is not made up for" in " ".join(ran.output.split())
    again = play(plain, tmp_path, **variables)
    assert (again.code, again.changed) == (0, 0), again.output
    refused = play(plain, tmp_path, schedule_benchmarks=[{**schedule, "on_calendar": "Mon *-*-~1 04:00"}])
    assert "cannot be put in cron's terms" in refused.output


def test_what_is_set_up(control: Machine, webhook: Hooked, tmp_path: Path) -> None:
    schedules = [NIGHTLY, {**NIGHTLY, "name": "to-go", "limit": "no-group"}]
    variables = {"schedule_benchmarks": schedules, "schedule_webhook_url": webhook.url}
    before = ours(control)

    bad = play(control, tmp_path, **{**variables, "schedule_benchmarks": [{**NIGHTLY, "on_calendar": "at nite"}]})
    assert bad.code == 2
    assert "schedule nightly: on_calendar 'at nite' is no calendar expression of systemd" in bad.output
    checked = play(control, tmp_path, "--check", **variables)
    assert (checked.code, checked.changed) == (0, 1), checked.output
    assert ours(control) == before

    here = control.sh(
        # A summary of root's would lie where the schedules' user writes its own.
        "cd /srv/fleet && export ANSIBLE_COLLECTIONS_PATH=collections ANSIBLE_NOCOLOR=1 INFERENCE_FLEET_SUMMARY= && "
        "/opt/ansible/bin/ansible-playbook -i hosts.yml --check --diff inference.fleet.schedule -e "
        + shlex.quote(json.dumps({"schedule_benchmarks": [NIGHTLY]}))
    )
    for derived in (
        "+User=root",
        "+WorkingDirectory=/srv/fleet",
        '"/opt/ansible/bin/ansible-playbook"',
        "/srv/fleet/hosts.yml",
    ):
        assert derived in here
    ran = play(control, tmp_path, "-vvvv", **variables)
    assert (ran.code, ran.changed) == (0, 1), ran.output
    said = " ".join(ran.output.split())
    assert re.search(r"schedule to-go: benchmark: \S*ERROR\S* Specified inventory, .* leaves us with no hosts", said)
    assert "schedule nightly: " not in said
    again = play(control, tmp_path, **variables)
    assert (again.code, again.changed) == (0, 0), again.output
    for shown in (f"+OnCalendar={DUE}", "+A_KEY=(hidden)"):
        assert shown in checked.output
        assert shown in ran.output

    assert control.sh("stat -c '%a %U' /etc/inference.fleet/schedule/environment") == "600 fleet"
    for secret in (SECRET, TOKEN, "a-secret-path"):
        assert control.sh(f"grep -rl -- {secret} /etc /usr/local /var/lib/inference-fleet-schedule").split() == [
            "/etc/inference.fleet/schedule/environment"
        ]
        assert secret not in checked.output + ran.output + again.output
    assert "waiting" in control.sh(f"systemctl status {UNIT}nightly.timer")
    assert control.sh(f"systemd-analyze verify {UNIT}nightly.timer {UNIT}nightly.service 2>&1") == ""


def test_one_that_is_not_listed_any_more_goes_and_a_strangers_stays(
    control: Machine, webhook: Hooked, tmp_path: Path
) -> None:
    strangers = f"/etc/systemd/system/{UNIT}mine.timer"
    control.write(strangers, "[Timer]\nOnCalendar=daily\n")
    variables = {"schedule_benchmarks": [NIGHTLY], "schedule_webhook_url": webhook.url}
    ran = play(control, tmp_path, **variables)
    assert (ran.code, ran.changed) == (0, 1), ran.output
    left = ours(control)
    assert not [path for path in left if "to-go" in path]
    assert strangers in left
    assert f"/etc/systemd/system/{UNIT}nightly.timer" in left
    assert control.sh(f"systemctl list-units --all '{UNIT}to-go*' --no-legend") == ""
    mine = play(control, tmp_path, schedule_benchmarks=[{**NIGHTLY, "name": "mine"}])
    assert "is not a file of this collection's" in mine.output
    assert control.sh(f"cat {strangers}").startswith("[Timer]")


def test_a_timer_fires_at_its_time_a_limit_ends_the_run_and_the_webhook_hears_of_it(
    control: Machine, webhook: Hooked, tmp_path: Path
) -> None:
    slow = {**NIGHTLY, "name": "slow", "playbooks": ["slow.yml"], "timeout": 5}
    # More time each time, where this machine was too busy to set it up.
    for seconds in (12, 60, 180):
        due = datetime.now(timezone.utc) + timedelta(seconds=seconds)
        slow["on_calendar"] = f"{due:%Y-%m-%d %H:%M:%S} UTC"
        ran = play(control, tmp_path, schedule_benchmarks=[NIGHTLY, slow], schedule_webhook_url=webhook.url)
        assert (ran.code, ran.changed) == (0, 1), ran.output
        if datetime.now(timezone.utc) < due:
            break
    headers, body = until(lambda: webhook.got and webhook.got.pop(), "the webhook is told")
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert (body["schedule"], body["host"], body["unit"]) == ("slow", control.name, f"{UNIT}slow.service")
    assert (body["result"], body["exit_status"]) == ("exit-code", 124)
    assert body["journal"][-1].startswith("schedule slow: not done within 5 s, so slow.yml was ended")
    assert SECRET not in json.dumps(body)
    assert control.sh("pgrep -f '[s]leep 300' || true") == ""


def test_a_run_that_was_missed_while_the_host_was_down_is_made_up_for(
    control: Machine, target: SshHost, tmp_path: Path
) -> None:
    # Down over its time: the last run was the day before yesterday.
    control.sh(f"touch -d '2 days ago' {STAMPS}/stamp-{UNIT}nightly.timer")
    docker("stop", control.name)
    docker("start", control.name)
    until(lambda: "done after" in control.journal("nightly"), "the run that was missed is made up for")
    journal = control.journal("nightly")
    (name,) = documents(control)
    document = json.loads(control.sh(f"cat /srv/fleet/results/{name}"))
    schema = json.loads((ROOT / "docs/result.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document)
    assert document["simulated"]
    assert document["host"] == "gpu-1"
    assert "schedule nightly: benchmark on gpus" in journal
    assert "schedule nightly: report on gpus" in journal
    assert document["run_id"] in control.sh("cat /srv/fleet/reports/index.html")
    assert "[gpu-1] benchmark 1/1: done in" in journal
    assert SECRET not in journal


def test_a_second_run_does_nothing_and_a_killed_control_host_leaves_nothing_behind(
    control: Machine, target: SshHost
) -> None:
    before = documents(control)
    # Minutes of work for this one run.
    file = "/etc/inference.fleet/schedule/nightly.vars.json"
    control.sh(f"sed -i 's/prompts\": 4/prompts\": 4000/' {file}")
    control.sh(f"systemctl start --no-block {UNIT}nightly.service")
    until(lambda: clients(target), "the client runs")
    invocation = f"systemctl show --value -p InvocationID {UNIT}nightly.service"
    running = control.sh(invocation)
    second = control.sh(f"runuser -u fleet -- python3 {RUNNER} run nightly; echo $?")
    assert "a run is under way" in second
    assert second.endswith("75")
    control.sh(f"systemctl start --no-block {UNIT}nightly.service")
    assert control.sh(invocation) == running

    docker("kill", control.name)
    docker("start", control.name)
    control.sh(f"sed -i 's/prompts\": 4000/prompts\": 4/' {file}")
    until(lambda: control.sh("systemctl is-system-running", check=False) in ("running", "degraded"), "it is up again")
    assert documents(control) == before
    # Between the warm-up and what is measured there is none for a moment.
    until(lambda: clients(target), "the client goes on")
    # As if the control host had been away for two minutes.
    (asked,) = (target.home / ".ansible_async").glob("*.asked")
    os.utime(asked, (time.time() - 120,) * 2)
    control.sh(f"systemctl start {UNIT}nightly.service")
    journal = control.journal("nightly")
    assert re.search(r"the last run \(pid \d+, since .*\) was cut off", journal)
    assert len(documents(control)) == len(before) + 1
    assert not [name for name in documents(control) if name.startswith(".")]
    assert clients(target) == []


def test_a_host_that_is_benchmarked_already_is_left_out_and_that_is_no_failure(
    control: Machine, target: SshHost, webhook: Hooked
) -> None:
    before = documents(control)
    webhook.got.clear()
    with (target.work / ".127.0.0.1.lock").open("w") as lock:  # type: ignore[attr-defined]
        fcntl.flock(lock, fcntl.LOCK_EX)
        control.sh(f"systemctl start {UNIT}nightly.service")
    assert "[gpu-1] skipped: another benchmark of http://127.0.0.1:" in control.journal("nightly")
    assert documents(control) == before
    assert webhook.got == []


def test_a_timer_tells_of_a_host_of_its_schedule_that_was_not_measured(
    control: Machine, webhook: Hooked, tmp_path: Path
) -> None:
    """Its hosts are a template in a file, which the real ansible-playbook fills in."""
    inventory = json.loads(control.sh("cat /srv/fleet/hosts.yml"))
    hosts = inventory["gpus"]["hosts"]
    # Nothing listens on the port of the second one; the third is none of the schedule's.
    hosts["gpu-2"] = {**hosts["gpu-1"], "ansible_port": 9}
    inventory["others"] = {"hosts": {"gpu-3": hosts["gpu-2"]}}
    control.write("/srv/fleet/hosts.yml", json.dumps(inventory))
    webhook.got.clear()
    watched = {**NIGHTLY, "name": "watched", "playbooks": ["benchmark", "report", "regression"]}
    # More time each time, where this machine was too busy to set it up.
    for seconds in (20, 60, 180):
        due = datetime.now(timezone.utc) + timedelta(seconds=seconds)
        watched["on_calendar"] = f"{due:%Y-%m-%d %H:%M:%S} UTC"
        ran = play(control, tmp_path, schedule_benchmarks=[watched], schedule_webhook_url=webhook.url)
        assert ran.code == 0, ran.output
        if datetime.now(timezone.utc) < due:
            break
    until(lambda: "watched: failed after" in control.journal("watched"), "the timer's run ends")
    journal = control.journal("watched")
    (told,) = {line.strip() for line in journal.splitlines() if "NOT MEASURED" in line}
    assert re.match(r"NOT MEASURED gpu-2: never measured: Unreachable: .*Connection refused", told)
    assert "NOT MEASURED gpu-2" in json.dumps(until(lambda: webhook.got, "the hook is told")[0][1]["journal"])
    page = control.sh("cat /srv/fleet/reports/index.html")
    assert "gpu-2: never measured" in page
    assert "gpu-3" not in page


def test_all_of_it_goes_and_nothing_else(control: Machine, tmp_path: Path) -> None:
    ran = play(control, tmp_path, schedule_state="absent")
    assert (ran.code, ran.changed) == (0, 1), ran.output
    assert ours(control) == [f"/etc/systemd/system/{UNIT}mine.timer"]
    assert documents(control) != []
    again = play(control, tmp_path, schedule_state="absent")
    assert (again.code, again.changed) == (0, 0), again.output


def test_cron_has_run_it_and_told_of_the_failure(plain: Machine, tmp_path: Path) -> None:
    told = json.loads(until(lambda: plain.sh("cat /srv/fleet/told.json 2>/dev/null || true"), "cron ran it"))
    assert (told["schedule"], told["result"], told["exit_status"]) == ("minutely", "exit-code", 2)
    text = "\n".join(told["journal"])
    assert f"the key has {len(SECRET)} letters" in text
    assert "wrong on purpose with ***" in text
    assert told["journal"][-1].startswith("schedule minutely: failed after")
    ran = play(plain, tmp_path, schedule_state="absent")
    assert (ran.code, ran.changed) == (0, 1), ran.output
    assert ours(plain) == []
