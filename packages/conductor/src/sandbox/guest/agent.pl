#!/usr/bin/perl
# The first process of a guest and the only one outside of the sandbox in it: speaks with Conductor (`messages.ts`), runs one program
# and relays its streams. Needs perl-base and nothing else: a compiled agent would need a compiler where the image is built.
# Numbers are those of Linux on x86_64.
use strict;
use warnings;
require '/relay.pl';

my %call = (
    mount => 165, pivot_root => 155, umount2 => 166, clone => 56, unshare => 272, mknod => 133, sethostname => 170, prctl => 157,
    setresuid => 117, setresgid => 119, setgroups => 116, clock_settime => 227, finit_module => 313, setrlimit => 160, reboot => 169,
);
my ($read_only, $no_suid, $no_dev, $no_exec, $remount, $bind, $recursive, $private) = (1, 2, 4, 8, 32, 4096, 16384, 1 << 18);
my %to_guest = (attach => 1, start => 2, stdin => 3, stdin_end => 4, signal => 5, clock => 6, entropy => 7, ping => 8, credit => 9, resume => 10);
my %from_guest = (ready => 0x81, stdout => 0x82, stderr => 0x83, exit => 0x84, pong => 0x85, log => 0x86, held => 0x87, credit => 0x88);

my $uid = 65534;
my $stdin_window = 256 * 1024;
my $message_max = 2 * 1024 * 1024;
my $payload_max = 32 * 1024;
# How long the last output may wait for somebody who takes it, and how long nothing must happen in a program that came to rest, s.
my $drain_seconds = 1;
my $rest_seconds = 0.4;
my $load_seconds_max = 300;
my $vsock_port = 5000;

$SIG{PIPE} = 'IGNORE';
$| = 1;

sub fail { my ($what) = @_; print STDOUT "maestro-agent: $what: $!\n"; power_off(); }
sub power_off {
    # LINUX_REBOOT_CMD_RESTART: the one way out that both QEMU and Firecracker take as the end.
    syscall($call{reboot}, 0xfee1dead, 672274793, 0x01234567, 0);
    sleep 1 while 1;
}
sub mount_at {
    my ($source, $target, $type, $flags, $data) = @_;
    $data = '' unless defined $data;
    # syscall() takes a string as a pointer and must be able to write to it.
    my ($a, $b, $c, $d) = ("$source\0", "$target\0", "$type\0", "$data\0");
    return syscall($call{mount}, $a, $b, $c, $flags, $d) == 0;
}
sub write_file { my ($path, $text) = @_; open(my $file, '>', $path) or return 0; my $done = syswrite($file, $text); close $file; return $done; }
sub read_file { my ($path) = @_; open(my $file, '<', $path) or return ''; local $/; my $text = <$file>; return defined $text ? $text : ''; }
sub now_seconds { my ($up) = split ' ', read_file('/proc/uptime'); return $up; }
sub non_blocking { my ($file) = @_; my $flags = fcntl($file, 3, 0); fcntl($file, 4, $flags | 2048); }

# --- the machine

sub set_up_machine {
    mkdir $_ for '/proc', '/sys', '/dev', '/groups', '/image', '/bundle', '/prepared', '/inside';
    mount_at('proc', '/proc', 'proc', $no_suid | $no_dev | $no_exec) or fail('proc');
    mount_at('sysfs', '/sys', 'sysfs', $no_suid | $no_dev | $no_exec) or fail('sysfs');
    mount_at('devtmpfs', '/dev', 'devtmpfs', $no_suid) or fail('devtmpfs');
    mount_at('cgroup', '/groups', 'cgroup2', $no_suid | $no_dev | $no_exec) or fail('cgroup2');
    for my $name (split ' ', read_file('/modules/order')) {
        open(my $module, '<', "/modules/$name") or fail($name);
        my $none = "\0";
        syscall($call{finit_module}, fileno($module), $none, 0) == 0 or fail("module $name");
        close $module;
    }
    write_file('/groups/cgroup.subtree_control', '+memory +pids +cpu');
    mkdir '/groups/sandbox' or fail('control group');
    # What was made ahead for a faster start has a disk where there is any.
    my $disks = read_file('/proc/cmdline') =~ /\bmaestro\.prepared\b/ ? 2 : 1;
    for my $pair ((['/dev/vda', '/image'], ['/dev/vdb', '/bundle'], ['/dev/vdc', '/prepared'])[0 .. $disks]) {
        my ($device, $folder) = @$pair;
        for (1 .. 500) { last if -b $device; select(undef, undef, undef, 0.01); }
        mount_at($device, $folder, 'ext4', $read_only | $no_suid | $no_dev, 'noload') or fail($device);
    }
}

sub open_serial {
    for (1 .. 500) {
        opendir(my $ports, '/sys/class/virtio-ports') or fail('no ports');
        my @names = grep { !/^\./ } readdir $ports;
        closedir $ports;
        for my $name (@names) {
            next unless read_file("/sys/class/virtio-ports/$name/name") =~ /^maestro$/;
            open(my $link, '+<', "/dev/$name") or fail($name);
            binmode $link;
            return $link;
        }
        select(undef, undef, undef, 0.01);
    }
    fail('no port');
}

my $listener;
sub accept_vsock {
    if (!$listener) {
        # AF_VSOCK, SOCK_STREAM; sockaddr_vm with VMADDR_CID_ANY
        socket($listener, 40, 1, 0) or fail('vsock');
        bind($listener, pack('S S L L C4 x4', 40, 0, $vsock_port, 0xffffffff, 0, 0, 0, 0)) or fail('vsock bind');
        listen($listener, 1) or fail('vsock listen');
    }
    my $link;
    accept($link, $listener) or fail('vsock accept');
    binmode $link;
    return $link;
}

sub add_entropy {
    my ($bytes) = @_;
    open(my $random, '+<', '/dev/urandom') or fail('urandom');
    # RNDADDENTROPY takes the number of bits, of bytes, and the bytes; RNDRESEEDCRNG makes the generator use them at once.
    my $pool = pack('l l', 8 * length $bytes, length $bytes) . $bytes;
    ioctl($random, 0x40085203, $pool) or fail('RNDADDENTROPY');
    ioctl($random, 0x5207, 0) or fail('RNDRESEEDCRNG');
    close $random;
}

sub set_clock {
    my ($payload) = @_;
    my $ns = unpack('Q<', $payload);
    my $time = pack('q q', int($ns / 1_000_000_000), $ns % 1_000_000_000);
    syscall($call{clock_settime}, 0, $time) == 0 or fail('clock_settime');
}

# --- the sandbox

sub run_inside {
    my ($start, $status, $teller) = @_;
    write_file('/groups/sandbox/cgroup.procs', '0') or fail('enter control group');
    # Shared memory is a tmpfs too, and comes out of the same room.
    my ($half, $temporary, $shared) = map { int($start->{diskBytesMax} * $_ / 8) || 1 } 4, 3, 1;
    mount_at('none', '/', '', $recursive | $private) or fail('private');
    mount_at('/image', '/inside', '', $bind) or fail('image');
    mount_at('none', '/inside', '', $bind | $remount | $read_only | $no_suid | $no_dev) or fail('image read-only');
    mount_at('/bundle', '/inside/bundle', '', $bind) or fail('bundle');
    mount_at('none', '/inside/bundle', '', $bind | $remount | $read_only | $no_suid | $no_dev) or fail('bundle read-only');
    mount_at('/prepared', '/inside/prepared', '', $bind) or fail('prepared');
    mount_at('none', '/inside/prepared', '', $bind | $remount | $read_only | $no_suid | $no_dev) or fail('prepared read-only');
    if (length $start->{ca}) {
        my $folder = '/inside/run/maestro/session';
        mount_at('tmpfs', $folder, 'tmpfs', $no_suid | $no_dev, 'mode=0755,size=64k') or fail('session');
        write_file("$folder/egress-ca.pem", $start->{ca}) or fail('certificate');
        mount_at('none', $folder, '', $bind | $remount | $read_only | $no_suid | $no_dev) or fail('session read-only');
    }
    mount_at('proc', '/inside/proc', 'proc', $no_suid | $no_dev | $no_exec) or fail('inner proc');
    mount_at('tmpfs', '/inside/tmp', 'tmpfs', $no_suid | $no_dev, "mode=1777,size=$temporary") or fail('tmp');
    mount_at('tmpfs', '/inside/home/sandbox', 'tmpfs', $no_suid | $no_dev, "mode=0755,uid=$uid,gid=$uid,size=$half") or fail('home');
    mount_at('tmpfs', '/inside/dev', 'tmpfs', $no_suid, 'mode=0755,size=64k') or fail('dev');
    my %device = (null => [1, 3], zero => [1, 5], full => [1, 7], random => [1, 8], urandom => [1, 9], tty => [5, 0]);
    umask 0;
    for my $name (keys %device) {
        my ($major, $minor) = @{ $device{$name} };
        my $path = "/inside/dev/$name\0";
        syscall($call{mknod}, $path, 020666, ($major << 8) | $minor) == 0 or fail($name);
    }
    umask 022;
    symlink '/proc/self/fd', '/inside/dev/fd';
    symlink "/proc/self/fd/$_->[0]", "/inside/dev/$_->[1]" for [0, 'stdin'], [1, 'stdout'], [2, 'stderr'];
    mkdir '/inside/dev/shm';
    mount_at('tmpfs', '/inside/dev/shm', 'tmpfs', $no_suid | $no_dev, "mode=1777,size=$shared") or fail('shm');
    mount_at('none', '/inside/dev', '', $bind | $remount | $read_only | $no_suid) or fail('dev read-only');
    chdir '/inside' or fail('inside');
    # The initial file system cannot be pivoted away, so the new root is moved over it.
    mount_at('/inside', '/', '', 8192) or fail('move');
    chroot '.' or fail('chroot');
    chdir '/' or fail('root');
    my $hostname = 'sandbox';
    syscall($call{sethostname}, $hostname, length $hostname);

    my $program = fork();
    fail('fork') unless defined $program;
    if ($program == 0) { close $status; become_nobody($start, $teller); }
    close $teller if $teller;
    open(STDIN, '<', '/dev/null');
    open(STDOUT, '>', '/dev/null');
    open(STDERR, '>', '/dev/null');
    # The first process of the namespace: takes in whoever lost its parent, and when it goes all go.
    while (1) {
        my $pid = waitpid(-1, 0);
        last if $pid == $program;
        last if $pid < 0;
    }
    syswrite($status, pack('S', $?));
    exit_now();
}

# Without the destructors of a perl that shares its handles with the agent.
sub exit_now { syscall(231, 0); }

sub become_nobody {
    my ($start, $teller) = @_;
    if ($teller) {
        # dup2, and without close-on-exec: `twin.cjs` tells here what the program used while it loaded.
        syscall(33, fileno($teller), 3) if fileno($teller) != 3;
        fcntl($teller, 2, 0) if fileno($teller) == 3;
    }
    my $limit = sub { my ($what, $value) = @_; my $pair = pack('Q Q', $value, $value); syscall($call{setrlimit}, $what, $pair); };
    $limit->(7, $start->{openFilesMax});
    $limit->(4, 0);
    my $groups = "\0" x 4;
    syscall($call{setgroups}, 0, $groups) == 0 or fail('setgroups');
    # Every capability out of the bounding set while we may still do so.
    for my $capability (0 .. 63) { last if syscall($call{prctl}, 24, $capability, 0, 0, 0) != 0; }
    syscall($call{setresgid}, $uid, $uid, $uid) == 0 or fail('setresgid');
    syscall($call{setresuid}, $uid, $uid, $uid) == 0 or fail('setresuid');
    chdir $start->{cwd} or fail('working folder');
    syscall($call{prctl}, 38, 1, 0, 0, 0) == 0 or fail('no new privileges');
    %ENV = %{ $start->{env} };
    my @command = @{ $start->{argument} };
    if (length $start->{filter}) {
        my $filter = $start->{filter};
        my $program = pack('S x6 P', length($filter) / 8, $filter);
        # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
        syscall($call{prctl}, 22, 2, $program, 0, 0) == 0 or fail('seccomp');
    }
    { no warnings; exec { $command[0] } @command; }
    print STDERR "$command[0]: $!\n";
    exit_now_with(127);
}
sub exit_now_with { syscall(231, $_[0]); }

# --- the relay

set_up_machine();
my $by_vsock = read_file('/proc/cmdline') =~ /\bmaestro\.link=vsock\b/;
my $link = $by_vsock ? accept_vsock() : open_serial();
non_blocking($link);

my ($state, $heard, $saying) = ('booted', '', '');
my ($stdin, $stdout, $stderr, $status, $teller);
my ($stdin_queue, $stdin_ends, $stdin_taken) = ('', 0, 0);
my %credit = (1 => 0, 2 => 0);
my ($init, $ended, $ended_at, $hold_since, $used, $used_at, $stopping);

sub may_read { return length $saying < 65536; }
sub say_message { my ($type, $payload) = @_; $saying .= pack('C V', $type, length $payload) . $payload; }
sub fields { my $text = ''; $text .= pack('V/a* V/a*', splice(@_, 0, 2)) while @_; return $text; }

my %handle = (
    $to_guest{attach} => sub {
        ($credit{1}, $credit{2}) = unpack('V V', $_[0]);
        say_message($from_guest{ready}, fields(state => $state, stdin => $stdin_window - length $stdin_queue));
    },
    $to_guest{start} => \&start_program,
    $to_guest{stdin} => sub { $stdin_queue .= $_[0]; write_input(); },
    $to_guest{stdin_end} => sub { $stdin_ends = 1; write_input(); },
    $to_guest{signal} => sub { kill_program(unpack 'C', $_[0]); },
    $to_guest{clock} => sub { set_clock($_[0]); },
    $to_guest{entropy} => sub { add_entropy($_[0]); },
    $to_guest{ping} => sub { say_message($from_guest{pong}, $_[0]); },
    $to_guest{credit} => sub { my ($stream, $bytes) = unpack('C V', $_[0]); $credit{$stream} += $bytes if exists $credit{$stream}; },
    $to_guest{resume} => sub { write_file('/groups/sandbox/cgroup.freeze', '0'); $state = 'running' if $state eq 'held'; },
);

sub start_program {
    my @pairs = unpack('(V/a*)*', $_[0]);
    my %start = (argument => [], env => {}, filter => '', ca => '');
    while (my ($name, $value) = splice(@pairs, 0, 2)) {
        if ($name eq 'argument') { push @{ $start{argument} }, $value; }
        elsif ($name eq 'env') { my ($key, $text) = split /=/, $value, 2; $start{env}{$key} = $text; }
        else { $start{$name} = $value; }
    }
    write_file('/groups/sandbox/memory.max', $start{memoryBytesMax});
    write_file('/groups/sandbox/memory.oom.group', '1');
    # The first process of the namespace counts too.
    write_file('/groups/sandbox/pids.max', $start{pidsMax} + 1);
    pipe(my $in_read, $stdin) && pipe($stdout, my $out_write) && pipe($stderr, my $error_write) && pipe($status, my $status_write) or fail('pipe');
    my $teller_write;
    if ($start{hold}) { pipe($teller, $teller_write) or fail('pipe'); non_blocking($teller); }
    # The network namespace is made by us, who open its one way out and have no other use for a network.
    syscall($call{unshare}, 0x40000000) == 0 or fail('unshare');
    Relay::listen_here() if $start{relay};
    # Namespaces: mount, cgroup, uts, ipc, pid; SIGCHLD. As fork() does it, but perl knows nothing of it.
    $init = syscall($call{clone}, 0x20000 | 0x2000000 | 0x4000000 | 0x8000000 | 0x20000000 | 17, 0, 0, 0, 0);
    fail('clone') if $init < 0;
    if ($init == 0) {
        close $_ for $link, $stdin, $stdout, $stderr, $status;
        close $listener if $listener;
        Relay::forget();
        open(STDIN, '<&', $in_read);
        open(STDOUT, '>&', $out_write);
        open(STDERR, '>&', $error_write);
        close $_ for $in_read, $out_write, $error_write;
        $SIG{PIPE} = 'DEFAULT';
        close $teller if $teller;
        run_inside(\%start, $status_write, $teller_write);
    }
    close $_ for $in_read, $out_write, $error_write, $status_write;
    close $teller_write if $teller_write;
    non_blocking($_) for $stdin, $stdout, $stderr, $status;
    $state = 'running';
    ($hold_since, $used_at, $used) = (now_seconds(), now_seconds(), -1) if $start{hold};
}

sub kill_program {
    my ($signal) = @_;
    return unless $init;
    kill $signal, split(' ', read_file("/proc/$init/task/$init/children"));
}

sub write_input {
    return unless $stdin;
    while (length $stdin_queue) {
        my $done = syswrite($stdin, $stdin_queue);
        if (!defined $done) {
            return if $!{EAGAIN} || $!{EINTR};
            # Nobody reads any more: what is sent is lost, as with any pipe.
            $done = length $stdin_queue;
        }
        substr($stdin_queue, 0, $done, '');
        $stdin_taken += $done;
    }
    if ($stdin_ends) { close $stdin; $stdin = undef; }
}

sub read_output {
    my ($stream, $file) = @_;
    my $most = $credit{$stream} < $payload_max ? $credit{$stream} : $payload_max;
    my $count = sysread($$file, my $bytes, $most);
    if (!defined $count) { return if $!{EAGAIN} || $!{EINTR}; $count = 0; }
    if ($count == 0) { close $$file; $$file = undef; return; }
    $credit{$stream} -= $count;
    say_message($stream == 1 ? $from_guest{stdout} : $from_guest{stderr}, $bytes);
    $ended_at = now_seconds() if $ended_at;
}

sub see_end {
    my $count = sysread($status, my $bytes, 2);
    return if !defined $count;
    close $status;
    $status = undef;
    waitpid($init, 0);
    $init = undef;
    # Without a word from the first process it was killed with all others.
    my $code = $count == 2 ? unpack('S', $bytes) : 9;
    $ended = { code => $code };
    $ended_at = now_seconds();
}

sub say_end {
    my ($kills) = read_file('/groups/sandbox/memory.events') =~ /^oom_kill (\d+)/m;
    my ($refused) = read_file('/groups/sandbox/pids.events') =~ /^max (\d+)/m;
    my $signal = $ended->{code} & 127;
    say_message($from_guest{exit},
        fields($signal ? (signal => $signal) : (code => $ended->{code} >> 8), limit => ($kills || 0) + ($refused || 0) > 0 ? 1 : 0));
    ($ended, $ended_at, $state) = (undef, undef, 'running');
}

# A program is at rest when for a while it has used no processor at all.
sub watch_hold {
    my $now = now_seconds();
    if (!$stopping) {
        my ($usage) = read_file('/groups/sandbox/cpu.stat') =~ /^usage_usec (\d+)/m;
        if ($usage != $used) { ($used, $used_at) = ($usage, $now); }
        my $rests = $usage > 0 && $now - $used_at >= $rest_seconds;
        return unless $rests || $now - $hold_since > $load_seconds_max;
        $stopping = $rests ? 'rests' : 'busy';
        write_file('/groups/sandbox/cgroup.freeze', '1');
    }
    return unless read_file('/groups/sandbox/cgroup.events') =~ /^frozen 1/m;
    $state = 'held';
    my $used_ahead = '';
    sysread($teller, $used_ahead, 64) if $teller;
    $used_ahead ||= 'the network' if $Relay::touched;
    say_message($from_guest{held}, fields(program => $stopping, used => defined $used_ahead ? $used_ahead : ''));
    ($hold_since, $stopping) = (undef, undef);
}

sub lose_link {
    power_off() unless $by_vsock;
    close $link;
    ($heard, $saying, $credit{1}, $credit{2}) = ('', '', 0, 0);
    Relay::drop_all();
    $link = accept_vsock();
    non_blocking($link);
}

while (1) {
    my ($reads, $writes) = ('', '');
    vec($reads, fileno($link), 1) = 1;
    vec($writes, fileno($link), 1) = 1 if length $saying;
    vec($writes, fileno($stdin), 1) = 1 if $stdin && length $stdin_queue;
    vec($reads, fileno($stdout), 1) = 1 if $stdout && $credit{1} > 0 && may_read();
    vec($reads, fileno($stderr), 1) = 1 if $stderr && $credit{2} > 0 && may_read();
    vec($reads, fileno($status), 1) = 1 if $status;
    Relay::watch(\$reads, \$writes, may_read());
    my $wait = defined $hold_since || $ended_at ? 0.05 : undef;
    my $ready = select(my $can_read = $reads, my $can_write = $writes, undef, $wait);
    next if $ready < 0;
    if (vec($can_read, fileno($link), 1)) {
        my $count = sysread($link, $heard, 65536, length $heard);
        if (defined $count ? $count == 0 : !$!{EAGAIN} && !$!{EINTR}) { lose_link(); next; }
        while (length $heard >= 5) {
            my ($type, $length) = unpack('C V', $heard);
            fail('a message too long') if $length > $message_max;
            last if length $heard < 5 + $length;
            my $payload = substr($heard, 5, $length);
            substr($heard, 0, 5 + $length, '');
            if ($handle{$type}) { $handle{$type}->($payload); }
            else { Relay::hear($type, $payload); }
        }
    }
    write_input() if $stdin && vec($can_write, fileno($stdin), 1);
    read_output(1, \$stdout) if $stdout && vec($can_read, fileno($stdout), 1);
    read_output(2, \$stderr) if $stderr && vec($can_read, fileno($stderr), 1);
    Relay::serve($can_read, $can_write, defined $hold_since);
    see_end() if $status && vec($can_read, fileno($status), 1);
    watch_hold() if defined $hold_since && $init;
    say_end() if $ended && ((!$stdout && !$stderr) || now_seconds() - $ended_at > $drain_seconds);
    if ($stdin_taken >= $stdin_window / 4 || ($stdin_taken && !length $stdin_queue)) {
        say_message($from_guest{credit}, pack('C V', 0, $stdin_taken));
        $stdin_taken = 0;
    }
    if (length $saying) {
        my $done = syswrite($link, $saying);
        if (defined $done) { substr($saying, 0, $done, ''); }
        elsif (!$!{EAGAIN} && !$!{EINTR}) { lose_link(); }
    }
}
