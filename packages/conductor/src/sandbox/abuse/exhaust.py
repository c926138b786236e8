"""Takes as much of something as it can get. Arguments: what, and how much to ask for at most. Prints one JSON object: how much
it got, and the name of the error that ended it, null where it got all."""
import ctypes, errno, json, mmap, os, sys, threading, time

libc = ctypes.CDLL(None, use_errno=True)
MiB = 1024 * 1024
kept = []


def made(value):
    if value == -1:
        raise OSError(ctypes.get_errno(), "")
    return value


def process():
    pid = os.fork()
    if pid == 0:
        # Or whoever waits for the end of our output would wait for this one.
        for number in range(3):
            os.close(number)
        time.sleep(60)
        os._exit(0)


def thread():
    threading.stack_size(64 * 1024)
    try:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    except RuntimeError:
        raise OSError(errno.EAGAIN, "")


def heap():
    kept.append(bytearray(b"x") * MiB)


def mapped():
    page = mmap.mmap(-1, MiB)
    page.write(b"x" * MiB)
    kept.append(page)


def shared_file():
    if not kept:
        kept.append(os.memfd_create("abuse"))
    os.write(kept[0], b"x" * MiB)


def disk():
    if not kept:
        kept.append(os.open("/tmp/full", os.O_CREAT | os.O_WRONLY))
    os.write(kept[0], b"x" * MiB)


def holes():
    """A file that is larger than the disk, and only in some places there."""
    if not kept:
        kept.append(os.open("/tmp/sparse", os.O_CREAT | os.O_WRONLY))
        os.ftruncate(kept[0], 1 << 40)
        kept.append(0)
    kept[1] += 1
    os.pwrite(kept[0], b"x" * MiB, kept[1] * 100 * MiB)


def file():
    kept.append(None)
    os.close(os.open("/tmp/%d" % len(kept), os.O_CREAT | os.O_WRONLY))


def descriptor():
    kept.append(os.dup(0))


def watcher():
    kept.append(made(libc.inotify_init1(0)))


def pipe():
    """Buffers of the kernel that nobody reads."""
    reader, writer = os.pipe2(os.O_NONBLOCK)
    kept.append((reader, writer))
    os.write(writer, b"x" * 65536)


def raise_limits():
    """To the most that may be asked for; what is beyond that is the machine's word."""
    limits = (ctypes.c_uint64 * 2)()
    libc.getrlimit(7, limits)
    limits[0] = limits[1]
    libc.setrlimit(7, limits)


what, most = sys.argv[1], int(sys.argv[2])
raise_limits()
take = globals()[what]
got, error = 0, None
try:
    while got < most:
        take()
        got += 1
except OSError as failure:
    error = errno.errorcode.get(failure.errno, str(failure.errno))
except MemoryError:
    error = "ENOMEM"
print(json.dumps({"got": got, "error": error}))
sys.stdout.flush()
if "stay" in sys.argv:
    os.close(1)
    time.sleep(60)
os._exit(0)
