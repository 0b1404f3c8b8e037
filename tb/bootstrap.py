"""The way in: check the base, make the virtual environment once, then run the wanted command in it.

Standard library only, and written so that even an old Python reaches the message that says what is missing.
Nothing is downloaded before everything the base must have is there.
"""

from __future__ import annotations

import ctypes.util
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
LAUNCHER = os.path.join(VENV, "bin", "chimney")
STAMP = os.path.join(VENV, "requirements.sha256")
#: Commands that need nothing but the standard library.
BARE_COMMANDS = ("help", "doctor", "clean")
EXIT_BASE = 2

#: The command line. The folder above the .venv that it was called in is the tree that it works on, wherever that was
#: moved or linked to; a link to the file itself is followed.
LAUNCHER_TEXT = """#!/bin/sh
# The command line of Chimney, written by tb/bootstrap.py.
self=$0
while [ -h "$self" ]; do
  target=$(readlink "$self")
  case $target in
    /*) self=$target ;;
    *) self=$(dirname "$self")/$target ;;
  esac
done
root=$(cd "$(dirname "$self")/../.." && pwd) || exit 2
exec "$root/.venv/bin/python" "$root/tb" "$@"
"""

COROUTINE_PROGRAM = "#include <coroutine>\nint main() { return std::suspend_always{}.await_ready(); }\n"


def has_shared_libpython() -> bool:
    """Whether the shared library of this Python exists; the simulators load it at run time."""
    version = "{}.{}".format(*sys.version_info[:2])
    names = [
        sysconfig.get_config_var("INSTSONAME"),
        sysconfig.get_config_var("LDLIBRARY"),
        f"libpython{version}.so.1.0",
    ]
    folders = [sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("LIBPL")]
    multiarch = sysconfig.get_config_var("MULTIARCH")
    folders += [os.path.join(f, multiarch) for f in ("/usr/lib", "/lib") if multiarch]
    for folder in filter(None, folders):
        for name in filter(None, names):
            if (".so" in name or ".dylib" in name) and os.path.exists(os.path.join(folder, name)):
                return True
    if sys.platform == "darwin" and sysconfig.get_config_var("PYTHONFRAMEWORK"):
        return True
    return ctypes.util.find_library(f"python{version}") is not None


def has_cpp20() -> bool:
    """Whether the C++ compiler takes C++20 with coroutines, which Verilator's --timing needs."""
    compiler = os.environ.get("CXX", "g++")
    command = [compiler, "-std=gnu++20", "-fcoroutines", "-fsyntax-only", "-x", "c++", "-"]
    if sys.platform == "darwin":
        command.remove("-fcoroutines")
    try:
        done = subprocess.run(command, input=COROUTINE_PROGRAM.encode(), capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def missing_base() -> list[tuple[str, str]]:
    """Everything of the base that is not there: (what, Debian package)."""
    missing = []
    if not (3, 11) <= sys.version_info[:2] <= (3, 14):
        what = "Python 3.11 to 3.14 (this is {}.{}; choose another with `make PYTHON=python3.13 ...`)"
        missing.append((what.format(*sys.version_info[:2]), "python3"))
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        missing.append(("Python's venv and ensurepip", "python3-venv"))
    if not has_shared_libpython():
        missing.append(("the shared libpython of this Python", "libpython3-dev"))
    for tool in ("make", "perl", "git"):
        if shutil.which(tool) is None:
            missing.append((tool, tool))
    if not has_cpp20():
        missing.append(("a C++20 compiler (g++ 11 or later)", "g++"))
    return missing


def fail(message: str) -> None:
    """Say what is wrong and stop."""
    sys.stderr.write(message.rstrip() + "\n")
    sys.exit(EXIT_BASE)


def check_base() -> None:
    """Stop with one message that names everything missing."""
    if " " in ROOT:
        fail(
            f"error: the path of this folder has a space in it, which Verilator's build cannot take:\n  {ROOT}\n"
            "Move the folder to a path without spaces (FILE= and OUT= may have them)."
        )
    missing = missing_base()
    if not missing:
        return
    packages = " ".join(sorted({package for _, package in missing}))
    lines = ["error: the base is not complete. Missing:"]
    lines += [f"  - {what}" for what, _ in missing]
    if sys.platform == "darwin":
        lines.append("Install them, e.g.:  xcode-select --install && brew install python@3.13 perl git")
    else:
        lines.append(f"Install them, e.g.:  sudo apt-get install -y {packages}")
    lines.append("Nothing was downloaded or changed.")
    fail("\n".join(lines))


def venv_python() -> str:
    """The interpreter inside the virtual environment."""
    return os.path.join(VENV, "bin", "python")


def wanted_stamp() -> str:
    """What the environment was, or would be, made from."""
    with open(os.path.join(ROOT, "requirements.txt"), "rb") as file:
        text = file.read()
    return hashlib.sha256(text + "{}.{}".format(*sys.version_info[:2]).encode() + LAUNCHER_TEXT.encode()).hexdigest()


def is_current() -> bool:
    """Whether the environment exists and was made from today's requirements by this Python version."""
    try:
        with open(STAMP) as file:
            return file.read().strip() == wanted_stamp() and os.path.exists(venv_python())
    except OSError:
        return False


def make_venv() -> None:
    """Create or update the environment; two starts at once wait for each other."""
    import fcntl

    os.makedirs(os.path.join(ROOT, "sim_build"), exist_ok=True)
    with open(os.path.join(ROOT, "sim_build", ".bootstrap.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_current():
            return
        print("installing the Python packages of requirements.txt into .venv (once) ...", flush=True)
        version = "import sys; sys.exit(sys.version_info[:2] != ({}, {}))".format(*sys.version_info[:2])
        usable = os.path.exists(venv_python()) and subprocess.call([venv_python(), "-c", version]) == 0
        if not usable:
            subprocess.check_call([sys.executable, "-m", "venv", "--clear", VENV])
        install = [venv_python(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if subprocess.call([*install, "-r", os.path.join(ROOT, "requirements.txt")]) != 0:
            fail(
                "error: pip could not install requirements.txt (its message is above).\n"
                "Check that a package index is reachable, then run the same command again."
            )
        write_launcher(LAUNCHER)
        with open(STAMP, "w") as file:
            file.write(wanted_stamp() + "\n")


def keep_bytecode() -> None:
    """Compiled Python is kept for the next process, in sim_build/ and never beside the sources.

    A test run starts hundreds of processes with the same modules; to compile them took half the time of a short one.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.setdefault("PYTHONPYCACHEPREFIX", os.path.join(ROOT, "sim_build", "pycache"))


def write_launcher(path: str) -> None:
    """Write the program `chimney`."""
    with open(path, "w") as file:
        file.write(LAUNCHER_TEXT)
    os.chmod(path, 0o755)  # noqa: S103 - a program for everyone who can read the tree


def ready() -> str:
    """Make the environment if it is not there or not current; its interpreter."""
    if not is_current():
        check_base()
        make_venv()
    elif " " in ROOT:
        check_base()
    return venv_python()


def main() -> None:
    """Run `tb.cli` with the arguments given, in the environment it needs."""
    arguments = sys.argv[1:] or ["help"]
    os.chdir(ROOT)
    python = sys.executable if arguments[0] in BARE_COMMANDS else ready()
    keep_bytecode()
    sys.stdout.flush()
    os.execv(python, [python, "-m", "tb.cli", *arguments])  # noqa: S606 - becoming the command is the purpose


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted while preparing the environment; run the same command to go on\n")
        sys.exit(130)
