"""Runs pip in this process. Argument 1 says whether packages may run programs here ("builds") or not ("plain"); the rest is pip's.

Wheels are data: pip resolves and unpacks them without running anything. Source archives, git addresses and build back ends are not, and
one may hide behind the metadata of any package. So that no setting has to be trusted for it, this process cannot start another one, nor
unpack a source archive, whose links not every pip keeps inside.
"""
import resource
import runpy
import sys
import tarfile
import zipfile

FILE_BYTES_MAX = 2 * 1024**3
MEMORY_BYTES_MAX = 2 * 1024**3
# As much as a bundle may hold, over all archives that are installed.
UNPACKED_BYTES_MAX = 4 * 1024**3
UNPACKED_FILES_MAX = 200_000
STARTS = {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "os.spawn", "os.system", "pty.spawn"}


def refuse_programs(event, arguments):
    if event in STARTS:
        # An OSError, as if the program were missing: pip asks for a few that it can do without.
        raise PermissionError(f"maestro: no program may be started by an installation ({event})")


def refuse_source(*arguments, **named):
    raise PermissionError("maestro: no source archive may be unpacked by an installation")


class BoundedZip(zipfile.ZipFile):
    """An archive is judged by what it says it holds, before anything of it is unpacked: no more than that is ever read of it."""

    held = {}

    def __init__(self, file, *arguments, **named):
        super().__init__(file, *arguments, **named)
        # Who chooses among versions looks into many archives and unpacks none; who installs opens the same one more than once.
        if "--dry-run" in sys.argv:
            BoundedZip.held.clear()
        key = self.filename or id(self)
        BoundedZip.held[key] = (sum(info.file_size for info in self.infolist()), len(self.infolist()))
        total_bytes, total_files = (sum(counts) for counts in zip(*BoundedZip.held.values()))
        if total_bytes > UNPACKED_BYTES_MAX or total_files > UNPACKED_FILES_MAX:
            self.close()
            raise PermissionError("maestro: the archives hold more than an installation may unpack")


resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, FILE_BYTES_MAX))
mode = sys.argv.pop(1)
zipfile.ZipFile = BoundedZip
if mode != "builds":
    # Metadata is read into memory, however much of it an archive has.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    tarfile.open = refuse_source
    sys.addaudithook(refuse_programs)
runpy.run_module("pip", run_name="__main__", alter_sys=True)
