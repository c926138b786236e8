"""Runs pip in this process. Argument 1 says whether packages may run programs here ("builds") or not ("plain"); the rest is pip's.

Wheels are data: pip resolves and unpacks them without running anything. Source archives, git addresses and build back ends are not, and
one may hide behind the metadata of any package. So that no setting has to be trusted for it, this process cannot start another one.
"""
import resource
import runpy
import sys

FILE_BYTES_MAX = 2 * 1024**3
STARTS = {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "os.spawn", "os.system", "pty.spawn"}


def refuse_programs(event, arguments):
    if event in STARTS:
        # An OSError, as if the program were missing: pip asks for a few that it can do without.
        raise PermissionError(f"maestro: no program may be started by an installation ({event})")


resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, FILE_BYTES_MAX))
mode = sys.argv.pop(1)
if mode != "builds":
    sys.addaudithook(refuse_programs)
runpy.run_module("pip", run_name="__main__", alter_sys=True)
