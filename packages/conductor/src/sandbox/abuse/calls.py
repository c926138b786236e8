"""System calls that lead out, down or across, one attack each. Arguments: names of attacks; none for all.

Prints one JSON object: name -> "done", the name of the error, or "killed <signal>". An attack that would harm the machine
stops one step after the permission check and counts as done there (`past`). Numbers are those of x86_64.
"""
import ctypes, errno, fcntl, json, mmap, os, signal, socket, struct, sys, time

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
attacks = {}


def attack(function):
    attacks[function.__name__] = function
    return function


def call(number, *arguments, past=()):
    """Makes the call. Errors named in `past` come after the permission check, so that the attack would have worked."""
    ctypes.set_errno(0)
    made = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    if made == -1:
        number = ctypes.get_errno()
        if errno.errorcode.get(number) in past:
            return 0
        raise OSError(number, os.strerror(number))
    return made


def sibling():
    pid = os.fork()
    if pid == 0:
        time.sleep(20)
        os._exit(0)
    return pid


def over(name, number, *arguments, past=()):
    attacks[name] = lambda: call(number, *arguments, past=past)


@attack
def ptrace():
    call(101, 16, sibling(), 0, 0)


@attack
def process_vm_readv():
    target = ctypes.create_string_buffer(b"secret")
    pid = sibling()
    got = ctypes.create_string_buffer(6)
    local = (ctypes.c_uint64 * 2)(ctypes.addressof(got), 6)
    remote = (ctypes.c_uint64 * 2)(ctypes.addressof(target), 6)
    call(310, pid, local, 1, remote, 1, 0)
    assert got.raw == b"secret"


@attack
def process_vm_writev():
    target = ctypes.create_string_buffer(b"secret")
    pid = sibling()
    local = (ctypes.c_uint64 * 2)(ctypes.addressof(target), 6)
    call(311, pid, local, 1, local, 1, 0)


@attack
def bpf():
    call(321, 0, struct.pack("IIIII", 2, 4, 4, 1, 0) + bytes(100), 120)


over("keyctl", 250, 0, -3, 1)


@attack
def add_key():
    call(248, b"user", b"maestro", b"x", 1, -2)


over("request_key", 249, b"user", b"absent", 0, 0, past=("ENOKEY",))


@attack
def perf_event_open():
    attributes = struct.pack("IIQQQQ", 1, 112, 0, 0, 0, 0) + bytes(72)
    call(298, attributes, 0, -1, -1, 0)


over("userfaultfd", 323, 0)
over("io_uring_setup", 425, 8, bytes(120))
over("io_setup", 206, 1, (ctypes.c_uint64 * 1)())
over("mount", 165, b"none", b"/tmp", b"tmpfs", 0, 0)
over("mount_setattr", 442, -100, b"/tmp", 0, bytes(32), 32)
over("fsopen", 430, b"tmpfs", 0)
over("open_tree", 428, -100, b"/", 1)
over("move_mount", 429, -1, b"", -1, b"", 0, past=("EINVAL", "EBADF", "ENOENT"))
over("pivot_root", 155, b"/", b"/", past=("EINVAL", "EBUSY"))
over("chroot", 161, b"/tmp")
for name, flag in {"user": 0x10000000, "mounts": 0x20000, "net": 0x40000000, "pid": 0x20000000, "ipc": 0x8000000, "uts": 0x4000000, "cgroup": 0x2000000, "time": 0x80}.items():
    over("unshare_" + name, 272, flag)


@attack
def clone_user():
    pid = call(56, 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


@attack
def clone3_user():
    pid = call(435, struct.pack("QQQQQQQQ", 0x10000000, 0, 0, 0, signal.SIGCHLD, 0, 0, 0), 64)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


@attack
def setns():
    call(308, os.open("/proc/self/ns/net", os.O_RDONLY), 0)


over("kexec_load", 246, 0, 10000, 0, 0, past=("EINVAL",))
over("kexec_file_load", 320, -1, -1, 0, 0, 0, past=("EBADF", "EINVAL", "ENOEXEC"))
over("init_module", 175, 0, 0, b"", past=("ENOEXEC", "EFAULT"))
over("finit_module", 313, -1, b"", 0, past=("EBADF", "ENOEXEC"))
over("delete_module", 176, b"maestro_absent", 0o4000, past=("ENOENT",))
over("reboot", 169, 1, 2, 3, 0, past=("EINVAL",))
over("swapon", 167, b"/maestro-absent", 0, past=("ENOENT",))
over("swapoff", 168, b"/maestro-absent", past=("ENOENT",))
over("acct", 163, 0)
over("iopl", 172, 3)
over("ioperm", 173, 0x80, 1, 1)
over("settimeofday", 164, struct.pack("qq", -1, -1), 0, past=("EINVAL",))
over("clock_settime", 227, 0, struct.pack("qq", 0, -1), past=("EINVAL",))
over("adjtimex", 159, bytes(208))
over("syslog", 103, 3, ctypes.create_string_buffer(64), 64)
over("sethostname", 170, b"taken", 5)
over("setdomainname", 171, b"taken", 5)
over("personality_no_randomize", 135, 0x40000)
over("x32_getpid", 0x40000000 + 39)
over("mbind", 237, 0, 0, 0, 0, 0, 0)
over("set_mempolicy", 238, 0, 0, 0)
over("move_pages", 279, 0, 0, 0, 0, 0, 0)
over("fanotify_init", 300, 0, 0)
over("memfd_secret", 447, 0)
over("modify_ldt", 154, 0, ctypes.create_string_buffer(16), 16)
over("lookup_dcookie", 212, 0, 0, 0, past=("EINVAL",))
over("vhangup", 153)
over("quotactl", 179, 0x80000100, 0, 0, 0, past=("ENODEV", "ESRCH", "ENOENT", "EFAULT", "EINVAL"))


@attack
def kcmp():
    call(312, os.getpid(), sibling(), 0, 0, 0)


@attack
def pidfd_getfd():
    call(438, call(434, sibling(), 0), 1, 0)


@attack
def process_madvise():
    page = mmap.mmap(-1, 4096)
    vector = (ctypes.c_uint64 * 2)(ctypes.addressof(ctypes.c_char.from_buffer(page)), 4096)
    call(440, call(434, os.getpid(), 0), vector, 1, 20, 0)


@attack
def open_by_handle_at():
    handle = ctypes.create_string_buffer(struct.pack("Ii", 128, 0) + bytes(128))
    mount = ctypes.c_int()
    call(303, -100, b"/usr/bin", handle, ctypes.byref(mount), 0)
    call(304, os.open("/usr", os.O_RDONLY), handle, os.O_RDONLY)


@attack
def mknod_disk():
    """The disk of the machine by its number."""
    os.mknod("/tmp/disk", 0o60600, os.stat("/usr").st_dev)
    os.read(os.open("/tmp/disk", os.O_RDONLY), 1)


@attack
def other_architecture():
    """getpid by the 32-bit door: mov eax, 20; int 0x80; ret."""
    page = mmap.mmap(-1, 4096, prot=7)
    page.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
    made = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
    if made != os.getpid():
        raise OSError(-made if made < 0 else errno.ENOSYS, "")


@attack
def terminal_injection():
    master, slave = os.openpty()
    os.setpgid(0, os.getppid())
    os.setsid()
    fcntl.ioctl(slave, 0x540E, 0)
    fcntl.ioctl(slave, 0x5412, b"x")


def family(name, *arguments):
    attacks["socket_" + name] = lambda: socket.socket(*arguments)


family("netlink_audit", 16, 3, 9)
family("netlink_netfilter", 16, 3, 12)
family("netlink_uevent", 16, 3, 15)
family("netlink_generic", 16, 3, 16)
family("netlink_xfrm", 16, 3, 6)
family("alg", 38, 5, 0)
family("vsock", 40, 1, 0)
family("packet", 17, 3, 0)
family("raw", 2, 3, 1)
family("xdp", 44, 3, 0)
family("key", 15, 3, 2)
family("bluetooth", 31, 3, 1)
family("can", 29, 3, 1)
family("tipc", 30, 2, 0)


@attack
def setuid_root():
    os.setuid(0)


@attack
def drop_groups():
    os.setgroups([])


@attack
def all_capabilities():
    call(126, struct.pack("Ii", 0x20080522, 0), struct.pack("IIIIII", 1 << 21, 1 << 21, 0, 0, 0, 0))


@attack
def realtime():
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))


@attack
def first_in_line():
    os.setpriority(os.PRIO_PROCESS, 0, -20)


@attack
def more_open_files():
    hard = struct.unpack("QQ", read_limit(7))[1]
    prlimit(7, hard + 1)


@attack
def locked_memory():
    prlimit(8, 1 << 40)


def read_limit(resource):
    limits = ctypes.create_string_buffer(16)
    call(302, 0, resource, 0, limits)
    return limits.raw


def prlimit(resource, value):
    call(302, 0, resource, struct.pack("QQ", value, value), 0)


# The last, because what comes after it in the same namespace misses /proc.
over("umount", 166, b"/proc", 2)


def run(function):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        signal.alarm(10)
        try:
            function()
            said = b"done"
        except OSError as error:
            said = errno.errorcode.get(error.errno, str(error.errno)).encode()
        except BaseException as error:
            said = repr(error).encode()
        os.write(writer, said)
        os._exit(0)
    os.close(writer)
    ended, status = os.waitpid(pid, 0)
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        pass
    # What was left running holds the writing end no more.
    said = os.read(reader, 200).decode()
    os.close(reader)
    return said or "killed %d" % (status & 127)


print(json.dumps({name: run(attacks[name]) for name in sys.argv[1:] or attacks}))
