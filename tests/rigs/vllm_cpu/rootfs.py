"""Print the host's paths that make a root file system in which a virtual environment runs, each ended by NUL.

usage: rootfs.py VENV | tar --null --no-recursion -cf - -C / -T -
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

LEFT_OUT = re.compile(r"/(idlelib|tkinter|turtledemo|ensurepip|test|tests|include)$|\.(a|h|hpp|cuh)$")
# torch imports from folders of such names: of it, only what building against it and testing it needs.
LEFT_OUT_OF_TORCH = re.compile(r"/torch/(include|test|share|bin/(?!torch_shm_manager)[^/]+)$|\.a$")
# What vLLM, torch and the C library call: a shell, the processor's description, the loader's cache.
PROGRAMS = ("/bin/sh", "/usr/bin/env", "/usr/bin/lscpu", "/bin/uname", "/sbin/ldconfig")
SETTINGS = ("/etc/passwd", "/etc/nsswitch.conf", "/etc/ld.so.conf", "/etc/ld.so.cache", "/tmp", "/proc", "/sys", "/dev")
LIBRARY = re.compile(r"(?:=>\s*)?(/\S+)\s+\(0x")


def tree(root: Path, left_out: tuple[str, ...] = ()) -> Iterator[Path]:
    """Yield the files under a folder that are needed at run time, bytecode with them."""
    for directory, directories, names in os.walk(root):
        rule = LEFT_OUT_OF_TORCH if "/site-packages/torch" in directory else LEFT_OUT
        directories[:] = [
            name for name in directories if name not in left_out and not rule.search(f"{directory}/{name}")
        ]
        yield from (Path(directory, name) for name in names if not rule.search(f"{directory}/{name}"))


def libraries(programs: Iterable[Path]) -> set[Path]:
    """Return the shared libraries that programs load."""
    found = set()
    batch = [str(path) for path in programs]
    for start in range(0, len(batch), 200):
        done = subprocess.run(["ldd", *batch[start : start + 200]], capture_output=True, text=True, check=False)
        found |= {_settled(match.group(1)) for match in map(LIBRARY.search, done.stdout.splitlines()) if match}
    return found


def _settled(path: str) -> Path:
    """Return a path without detours: the loader writes some libraries as dir/../file."""
    return Path(os.path.realpath(os.path.dirname(path)), os.path.basename(path)) if "/../" in path else Path(path)


def with_links(path: Path) -> Iterator[Path]:
    """Yield a path with its folders, and each link on the way with what it leads to."""
    place = Path("/")
    for index, part in enumerate(path.parts[1:], start=1):
        place /= part
        yield place
        if place.is_symlink():
            yield from with_links(Path(os.path.realpath(place), *path.parts[index + 1 :]))
            return


def main(venv: Path) -> None:
    """Print the paths."""
    interpreter = Path(os.path.realpath(sys.executable))
    files = {interpreter, *tree(venv), *tree(Path(sysconfig.get_path("stdlib")), ("site-packages", "dist-packages"))}
    files |= {path for path in map(Path, (*PROGRAMS, *SETTINGS)) if path.exists()}
    binaries = {path for path in files if ".so" in path.name or path == interpreter or str(path) in PROGRAMS}
    files |= {path for path in libraries(sorted(binaries)) if path.exists()}
    files |= {Path(f"/{name}") for name in ("bin", "sbin", "lib", "lib64")}
    members = {member for path in files for member in with_links(path)}
    sys.stdout.write("".join(f"{str(member)[1:]}\0" for member in sorted(members)))


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
