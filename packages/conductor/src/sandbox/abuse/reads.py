"""Tries files. Arguments: `read` or `write`, then paths. Prints one JSON object: path -> bytes that could be read (0 for a file
that is empty or all zeros), "done" for one that could be opened for writing, or the name of the error."""
import errno, json, os, sys


def read(path):
    if os.path.isdir(path):
        return sum(len(name) for name in os.listdir(path))
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    data = os.read(file, 65536)
    return 0 if all(byte in b"\0\n 0" for byte in data) else len(data)


def write(path):
    os.open(path, os.O_WRONLY)
    return "done"


def attempt(verb, path):
    try:
        return verb(path)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))


verb = {"read": read, "write": write}[sys.argv[1]]
print(json.dumps({path: attempt(verb, path) for path in sys.argv[2:]}))
