# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schedules on a control host as they are, and how they become what is wanted."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host.command import RunCommand, run, search_path
from ansible_collections.inference.fleet.plugins.module_utils.schedules import files
from ansible_collections.inference.fleet.plugins.module_utils.schedules.files import File, Schedule, Settings

_STAMPS = Path("/var/lib/systemd/timers")
# systemd may wait for a run that it ends.
_SYSTEMCTL_SECONDS = 120
# systemctl's exit code where a unit is not there.
_NOT_LOADED = 5
_CRON_DAEMONS = {"cron", "crond", "busybox"}


@dataclass
class Difference:
    """What has to change: files to write, files to remove, and timers to begin or end, by their schedules' names."""

    write: list[tuple[File, str | None]] = field(default_factory=list)
    remove: list[tuple[Path, str]] = field(default_factory=list)
    begin: list[str] = field(default_factory=list)
    end: list[str] = field(default_factory=list)
    # Whether systemd has to read its units again. It need not for new ones.
    reload: bool = False

    def __bool__(self) -> bool:
        return bool(self.write or self.remove or self.begin or self.end or self.reload)

    def removed(self) -> list[str]:
        """Return the names of schedules that go."""
        starts = [path for path, _before in self.remove if path.name.endswith(".vars.json")]
        return sorted(path.name.removesuffix(".vars.json") for path in starts)

    def shown(self) -> list[dict[str, str]]:
        """Return it as Ansible's diffs; of the environment file the names only."""
        shown = []
        for file, before in self.write:
            texts = [before or "", file.text]
            if file.secret:
                texts = [files.masked(text) for text in texts]
                if texts[0] == texts[1] and before != file.text:
                    texts[1] = texts[1].replace("(hidden)", "(hidden, one of them changed)")
            if before == file.text:
                texts = ["another owner or mode\n", f"mode {file.mode:04o}\n"]
            if before is None:
                shown.append({"before": "", "after": texts[1], "before_header": "missing", "after_header": file.path})
            else:
                headers = {"before_header": file.path, "after_header": file.path}
                shown.append({"before": texts[0], "after": texts[1], **headers})
        for path, before in self.remove:
            text = files.masked(before) if str(path) == files.ENVIRONMENT else before
            shown.append({"before": text, "after": "", "before_header": str(path), "after_header": "removed"})
        states = [("", f"timer {name} waits\n") for name in self.begin]
        states += [(f"timer {name} waits\n", "") for name in self.end]
        shown += [{"before": before, "after": after} for before, after in states]
        return shown


def init() -> str:
    """Return what can start something at a time on this host. FleetError where nothing can."""
    if Path("/run/systemd/system").is_dir():
        return files.SYSTEMD
    if Path(files.CRON_D).is_dir() and any(shutil.which(name, path=search_path()) for name in ("cron", "crond")):
        return files.CRON
    raise FleetError(
        "wanted systemd or cron to start benchmarks on this host, found neither. Install cron and start it, "
        "or choose a control host where systemd runs."
    )


def cron_runs() -> bool:
    """Tell whether a cron daemon runs."""
    for path in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            if path.read_text(encoding="utf-8").strip() in _CRON_DAEMONS:
                return True
    return False


def check(settings: Settings) -> None:
    """Raise FleetError where a run could not begin, and say all that is in the way."""
    faults = []
    try:
        pwd.getpwnam(settings.user)
    except KeyError:
        faults.append(f"user {settings.user} is not on this host")
    if not os.access(settings.ansible_playbook, os.X_OK) or not os.path.isabs(settings.ansible_playbook):
        faults.append(f"ansible_playbook {settings.ansible_playbook} is no executable file by its whole path")
    if not os.path.isdir(settings.directory):
        faults.append(f"directory {settings.directory} is missing")
    missing = [
        source
        for source in settings.inventory
        if "," not in source and not os.path.exists(os.path.join(settings.directory, source))
    ]
    if missing:
        faults.append(f"inventory {', '.join(missing)} is missing (relative paths begin in {settings.directory})")
    if faults:
        raise FleetError(
            f"a schedule could not run here: {'; '.join(faults)}. Put ansible-core, the collection and the inventory "
            "on the control host first, or say where they are."
        )


def run_patiently(argv: Sequence[str]) -> tuple[int, str, str]:
    """Run a command that may take as long as a run that is told to end."""
    return run(argv, _SYSTEMCTL_SECONDS)


def next_run(schedule: Schedule, run_command: RunCommand = run) -> str | None:
    """Return when systemd would start a schedule next. FleetError where its calendar expression is none."""
    code, output, error = run_command(["systemd-analyze", "calendar", "--", schedule.on_calendar])
    if code:
        # It names the expression too; we say it once.
        reason = (error or output).strip().splitlines()[0:1] or ["systemd-analyze said nothing"]
        raise FleetError(
            f"schedule {schedule.name}: on_calendar {schedule.on_calendar!r} is no calendar expression of systemd "
            f"({reason[0].strip().rstrip('.')}). Write it as 'Mon..Fri 03:30' or '*-*-* 02:00 Europe/Berlin'; "
            "'man systemd.time' has the rest."
        )
    found = [line.partition(":")[2].strip() for line in output.splitlines() if "Next elapse:" in line]
    return found[0] if found and found[0] != "never" else None


def compare(
    wanted: Sequence[File], settings: Settings | None, names: Sequence[str], run_command: RunCommand
) -> Difference:
    """Return how this host differs from what is wanted. FleetError where a stranger's file is in the way."""
    difference = Difference()
    paths = {file.path for file in wanted}
    for file in wanted:
        path = Path(file.path)
        before = _read(path)
        if before is not None and path.suffix != ".json" and not before.startswith(files.MARK):
            raise FleetError(
                f"{path} is not a file of this collection's (its first line is not '{files.MARK}'), so it is left "
                "alone. Give the schedule another name, or move the file away."
            )
        if before != file.text or not _is_kept(path, file, settings):
            difference.write.append((file, before))
    for path in sorted(_ours()):
        if str(path) not in paths:
            difference.remove.append((path, _read(path) or ""))
    old = [file.path for file, before in difference.write if before is not None]
    old += [str(path) for path, _before in difference.remove]
    difference.reload = any(path.startswith(f"{files.UNITS}/") for path in old)
    if settings and settings.init == files.SYSTEMD:
        waiting, stale = _timers(names, run_command)
        difference.reload = difference.reload or stale
        changed = {Path(file.path).name for file, _before in difference.write}
        difference.begin = [name for name in names if name not in waiting or f"{files.PREFIX}{name}.timer" in changed]
    difference.end = [
        path.name.removeprefix(files.PREFIX).removesuffix(".timer")
        for path, _before in difference.remove
        if path.suffix == ".timer"
    ]
    return difference


def apply(difference: Difference, settings: Settings | None, run_command: RunCommand = run_patiently) -> None:
    """Make the host what is wanted. What was cut off half-way, the next call finds and finishes."""
    for name in difference.end:
        _systemctl(run_command, "disable", "--now", "--no-reload", f"{files.PREFIX}{name}.timer")
        # A run that goes on would miss its files.
        _systemctl(run_command, "stop", f"{files.PREFIX}{name}.service", ignored=_NOT_LOADED)
        (_STAMPS / f"stamp-{files.PREFIX}{name}.timer").unlink(missing_ok=True)
    for path, _before in difference.remove:
        if str(path.parent) == files.CRON_D:
            _end_by_lock(path.name.removeprefix(files.PREFIX))
        path.unlink(missing_ok=True)
    for name in difference.removed():
        (Path(files.STATE) / f"{name}.lock").unlink(missing_ok=True)
    if settings and difference.write:
        owner = pwd.getpwnam(settings.user)
        _directory(Path(files.CONFIG), owner, 0o755)
        _directory(Path(files.STATE), owner, 0o755, of_user=True)
        for file, _before in difference.write:
            _write(file, owner)
    if not settings:
        _remove_directories()
    if difference.reload:
        _systemctl(run_command, "daemon-reload")
    for name in difference.begin:
        _begin(name, difference, run_command)


def rehearse(difference: Difference, names: Sequence[str], settings: Settings, run_command: RunCommand) -> list[str]:
    """Return what would keep changed schedules from finding their playbooks and hosts. It runs nothing on these."""
    changed = {file.path for file, _before in difference.write}
    faults = []
    for name in names:
        if files.ENVIRONMENT in changed or any(
            f"{files.CONFIG}/{name}{end}" in changed for end in (".json", ".vars.json")
        ):
            argv = [settings.python, files.RUNNER, "check", name, "--cron"]
            code, output, error = run_command(["runuser", "-u", settings.user, "--", *argv])
            if code:
                faults.append(f"{(output or error).strip()} Until that is mended, each run of it will fail.")
    return faults


def gpus_in_containers(proc: Path = Path("/proc")) -> bool:
    """Tell whether a container uses a GPU: a daemon-reload of systemd can take it away."""
    for process in proc.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(word in (process / "cgroup").read_text() for word in ("docker", "containerd", "libpod")):
                for link in (process / "fd").iterdir():
                    if os.readlink(link).startswith("/dev/nvidia"):
                        return True
    return False


def _begin(name: str, difference: Difference, run_command: RunCommand) -> None:
    timer = f"{files.PREFIX}{name}.timer"
    before = {Path(file.path).name: text for file, text in difference.write}.get(timer)
    if before is not None:
        # Another calendar begins now: it makes up for no run that the old one never had.
        with contextlib.suppress(OSError):
            os.utime(_STAMPS / f"stamp-{timer}")
    _systemctl(run_command, "enable", "--no-reload", timer)
    _systemctl(run_command, "restart", timer)


def _systemctl(run_command: RunCommand, *arguments: str, ignored: int = 0) -> None:
    code, output, error = run_command(["systemctl", *arguments])
    if code not in (0, ignored):
        raise FleetError(f"systemctl {' '.join(arguments)} failed: {(error or output).strip()}")


def _timers(names: Sequence[str], run_command: RunCommand) -> tuple[set[str], bool]:
    """Return the schedules whose timers wait, now and after a reboot, and whether a unit is out of date."""
    if not names:
        return set(), False
    units = [f"{files.PREFIX}{name}.{kind}" for name in names for kind in ("timer", "service")]
    _code, output, _error = run_command(
        ["systemctl", "show", "-p", "Id,ActiveState,UnitFileState,NeedDaemonReload", *units]
    )
    blocks = [dict(line.partition("=")[::2] for line in block.splitlines()) for block in output.strip().split("\n\n")]
    waiting = {
        block["Id"].removeprefix(files.PREFIX).removesuffix(".timer")
        for block in blocks
        if block.get("Id", "").endswith(".timer")
        and (block.get("ActiveState"), block.get("UnitFileState")) == ("active", "enabled")
    }
    return waiting, any(block.get("NeedDaemonReload") == "yes" for block in blocks)


def _ours() -> set[Path]:
    """Return every file that this collection's schedules have on this host."""
    marked = [*Path(files.UNITS).glob(f"{files.PREFIX}*"), *Path(files.CRON_D).glob(f"{files.PREFIX}*")]
    marked += [Path(files.RUNNER), Path(files.ENVIRONMENT)]
    found = {path for path in marked if path.is_file() and (_read(path) or "").startswith(files.MARK)}
    return found | {path for path in Path(files.CONFIG).glob("*.json") if path.is_file()}


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FleetError(f"{path} cannot be read: {error.strerror}. Schedules need root.") from error


def _is_kept(path: Path, file: File, settings: Settings | None) -> bool:
    """Tell whether a file has its owner and mode."""
    found = path.stat()
    owner = pwd.getpwnam(settings.user).pw_uid if settings and file.of_user else 0
    return (stat.S_IMODE(found.st_mode), found.st_uid) == (file.mode, owner)


def _directory(path: Path, owner: pwd.struct_passwd, mode: int, *, of_user: bool = False) -> None:
    path.mkdir(mode=mode, parents=True, exist_ok=True)
    if of_user:
        for item in (path, *path.iterdir()):
            # Whose directory it is may have put a link there.
            os.chown(item, owner.pw_uid, owner.pw_gid, follow_symlinks=False)


def _write(file: File, owner: pwd.struct_passwd) -> None:
    """Write a file whole, with its owner and mode from the first byte on."""
    path = Path(file.path)
    temporary = None
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=".", dir=path.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            if file.of_user:
                os.fchown(stream.fileno(), owner.pw_uid, owner.pw_gid)
            os.fchmod(stream.fileno(), file.mode)
            stream.write(file.text)
        os.rename(temporary, path)
        temporary = None
    except OSError as error:
        raise FleetError(f"{path} cannot be written: {error.strerror}. Schedules need root.") from error
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _end_by_lock(name: str) -> None:
    """End a run under cron: its lock says which process it is, as long as that lives."""
    lock = _read(Path(files.STATE) / f"{name}.lock") or ""
    with contextlib.suppress(ValueError, OSError):
        pid = int(lock.split(",")[0].removeprefix("pid "))
        if files.RUNNER in Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8"):
            os.kill(pid, signal.SIGTERM)


def _remove_directories() -> None:
    """Remove the directories that nothing is in any more."""
    for lock in Path(files.STATE).glob("*.lock"):
        lock.unlink(missing_ok=True)
    for path in (files.STATE, files.CONFIG, os.path.dirname(files.CONFIG), os.path.dirname(files.RUNNER)):
        with contextlib.suppress(OSError):
            os.rmdir(path)
