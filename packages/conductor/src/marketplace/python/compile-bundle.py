"""Compiles the sources under a folder (argument 1) to bytecode, so that no start has to. Nothing of them is run.

The bytecode is held to its source by content, not by time, and not looked at again: a bundle never changes. Paths in it are those of
the sandbox (argument 2), so that the same sources give the same bytes wherever they were installed.
"""
import compileall
import resource
import sys
from py_compile import PycInvalidationMode

MEMORY_BYTES_MAX = 2 * 1024**3

# A source may be made to be expensive; then it stays uncompiled.
resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
folder, inside = sys.argv[1:3]
compileall.compile_dir(
    folder, maxlevels=64, quiet=2, force=True, stripdir=folder, prependdir=inside, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH
)
