/**
 * What a sandboxed program may ask of the kernel. An allow-list: what is not named answers ENOSYS, as on an older kernel, so that
 * runtimes fall back to what they know; what is dangerous and known answers EPERM, so that a person sees that it was refused.
 * Sources: the calls Node 20 to 26 and Bun make under load, and the classes Docker's and systemd's default profiles leave out.
 */
import { errno, type Rule } from './assemble.ts'

/** Socket families by number, `linux/socket.h`. */
const family = { unix: 1, inet: 2, inet6: 10, netlink: 16 } as const

/** Flags of clone(2) that make a namespace: NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
const cloneNewAny = 0x7e02_0080

/** ioctl(2) requests that push characters into a terminal we share: TIOCSTI, TIOCLINUX. */
const terminalInjection = [0x5412, 0x541c]

/** personality(2) values that change nothing that matters: PER_LINUX, and the question what is set. */
const personalities = [0, 0xffff_ffff]

const files = `access faccessat faccessat2 open openat openat2 creat close close_range read write readv writev pread64 pwrite64 preadv pwritev
  preadv2 pwritev2 lseek stat lstat fstat newfstatat statx statfs fstatfs getdents getdents64 readlink readlinkat getcwd chdir fchdir mkdir
  mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat chmod fchmod fchmodat chown fchown lchown fchownat
  truncate ftruncate fallocate fadvise64 readahead fsync fdatasync sync_file_range syncfs umask utime utimes utimensat futimesat getxattr
  lgetxattr fgetxattr listxattr llistxattr flistxattr setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr dup dup2 dup3 fcntl
  flock pipe pipe2 splice tee vmsplice sendfile copy_file_range memfd_create inotify_init inotify_init1 inotify_add_watch inotify_rm_watch`

const memory = `brk mmap munmap mremap mprotect madvise mincore msync mlock mlock2 munlock mlockall munlockall membarrier pkey_alloc pkey_free
  pkey_mprotect get_mempolicy shmget shmat shmctl shmdt`

const processes = `fork vfork execve execveat exit exit_group wait4 waitid kill tkill tgkill getpid getppid gettid getpgid getpgrp getsid setpgid
  setsid getuid geteuid getgid getegid getresuid getresgid getgroups setuid setgid setreuid setregid setresuid setresgid setgroups setfsuid
  setfsgid capget capset prctl arch_prctl set_tid_address set_robust_list get_robust_list rseq futex futex_waitv sched_yield
  sched_getaffinity sched_setaffinity sched_getparam sched_setparam sched_getscheduler sched_setscheduler sched_get_priority_max
  sched_get_priority_min sched_rr_get_interval sched_getattr sched_setattr getpriority setpriority ioprio_get ioprio_set getrlimit
  setrlimit prlimit64 getrusage times pidfd_open pidfd_send_signal set_thread_area get_thread_area getcpu restart_syscall pause`

const signals = `rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait rt_sigqueueinfo rt_tgsigqueueinfo
  sigaltstack signalfd signalfd4`

const time = `clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time alarm getitimer setitimer timer_create timer_settime
  timer_gettime timer_getoverrun timer_delete timerfd_create timerfd_settime timerfd_gettime`

const waiting = `poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd eventfd2`

const sockets = `socketpair bind listen accept accept4 connect getsockname getpeername getsockopt setsockopt sendto recvfrom sendmsg recvmsg
  sendmmsg recvmmsg shutdown`

const facts = 'uname sysinfo getrandom seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self'

/** Not those of POSIX: their bytes are counted to whoever made the namespace, so that one sandbox could take them from all. */
const messages = 'semget semop semctl semtimedop msgget msgsnd msgrcv msgctl'

/** Refused by name: ways out, ways down, ways to watch or change the machine. */
const refused = `acct add_key adjtimex bpf chroot clock_adjtime clock_settime create_module delete_module fanotify_init fanotify_mark
  finit_module fsconfig fsmount fsopen fspick init_module io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit io_uring_enter
  io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie mbind migrate_pages mknod mknodat
  modify_ldt mount mount_setattr move_mount move_pages name_to_handle_at nfsservctl open_by_handle_at open_tree perf_event_open pidfd_getfd
  pivot_root process_madvise process_mrelease process_vm_readv process_vm_writev ptrace quotactl quotactl_fd reboot remap_file_pages
  request_key setdomainname sethostname set_mempolicy set_mempolicy_home_node settimeofday setns swapoff swapon sync syslog umount2 unshare
  uselib userfaultfd ustat vhangup memfd_secret`

const words = (text: string): string[] => text.trim().split(/\s+/)

export const allowedCalls: readonly string[] = [
  files,
  memory,
  processes,
  signals,
  time,
  waiting,
  sockets,
  facts,
  messages,
].flatMap(words)
export const refusedCalls: readonly string[] = words(refused)
/** Calls judged by an argument. */
export const judgedCalls = ['clone', 'clone3', 'socket', 'ioctl', 'personality'] as const

/** The rules by name of the call. `inet`: whether the sandbox may open internet sockets, which only lead to its own loopback. */
export function sandboxPolicy(options: { inet: boolean }): Map<string, Rule> {
  const rules = new Map<string, Rule>()
  for (const name of allowedCalls) rules.set(name, { kind: 'allow' })
  for (const name of refusedCalls) rules.set(name, { kind: 'errno', errno: errno.EPERM })

  rules.set('clone', { kind: 'refuse_bits', argument: 0, bits: cloneNewAny, errno: errno.EPERM })
  // Its flags are behind a pointer that a filter cannot follow; libc falls back to clone on ENOSYS.
  rules.set('clone3', { kind: 'errno', errno: errno.ENOSYS })
  rules.set('ioctl', { kind: 'refuse_values', argument: 1, values: terminalInjection, errno: errno.EPERM })
  rules.set('personality', { kind: 'only_values', argument: 0, values: personalities, errno: errno.EPERM })
  rules.set('socket', {
    kind: 'only_values',
    argument: 0,
    // Netlink answers `os.networkInterfaces()`; the namespace has no interface but its own loopback, and no capability to change it.
    values: options.inet ? [family.unix, family.inet, family.inet6, family.netlink] : [family.unix, family.netlink],
    errno: errno.EAFNOSUPPORT,
    // Of netlink only protocol 0, NETLINK_ROUTE: the others are doors into rarely walked kernel code.
    and: { value: family.netlink, argument: 2, values: [0] },
  })
  return rules
}
