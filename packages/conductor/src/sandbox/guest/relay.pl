# The way out of a sandbox: what connects to a port of its loopback is carried over the agent's link, connection by connection
# (`messages.ts`, `relay.ts`). It decides nothing: who is reached is judged on the other side. Part of `agent.pl`.
package Relay;
use strict;
use warnings;

my ($port, $window, $payload_max, $connections_max) = (3128, 128 * 1024, 32 * 1024 - 4, 128);
my %say = (open => 0x89, data => 0x8a, end => 0x8b, close => 0x8c, credit => 0x8d);
my %hear = (
    11 => sub { $_[0]{queue} .= $_[1]; },
    12 => sub { $_[0]{heard_end} = 1; },
    13 => sub { $_[0]{heard_close} = 1; },
    14 => sub { $_[0]{credit} += unpack('V', $_[1]); },
);

my ($listener, $last, $turn) = (undef, 0, 0);
my %open;
# Whether somebody wanted out of a program that is to be copied: its twins would share what came of it.
our $touched = 0;

# In the network namespace we are in. Its loopback has an address once it is up.
sub listen_here {
    socket($listener, 2, 1, 0) or main::fail('socket');
    my $loopback = pack('a16 S x22', 'lo', 0x41);
    # SIOCSIFFLAGS: up and running.
    ioctl($listener, 0x8914, $loopback) or main::fail('loopback');
    bind($listener, pack('S n C4 x8', 2, $port, 127, 0, 0, 1)) or main::fail('bind');
    listen($listener, 128) or main::fail('listen');
    main::non_blocking($listener);
}

# For a process of the sandbox, which must not have the agent's end.
sub forget { close $listener if $listener; }

# What select() shall look at. Nothing is read from anybody while much is still to be said.
sub watch {
    my ($reads, $writes, $may_read) = @_;
    return unless $listener;
    vec($$reads, fileno($listener), 1) = 1 if keys %open < $connections_max;
    for my $one (values %open) {
        next unless $one->{socket};
        vec($$reads, fileno($one->{socket}), 1) = 1 if $may_read && $one->{credit} > 0 && !$one->{said_end};
        vec($$writes, fileno($one->{socket}), 1) = 1 if length $one->{queue};
    }
}

sub serve {
    my ($can_read, $can_write, $held) = @_;
    return unless $listener;
    # Who was served longest ago comes first: one that sends without end holds up no other.
    for my $number (sort { $open{$a}{served} <=> $open{$b}{served} } keys %open) {
        my $one = $open{$number};
        move_in($number) if $one->{socket} && vec($can_write, fileno($one->{socket}), 1);
        move_out($number) if $one->{socket} && vec($can_read, fileno($one->{socket}), 1) && main::may_read();
    }
    begin($held) if vec($can_read, fileno($listener), 1);
}

sub begin {
    my ($held) = @_;
    accept(my $socket, $listener) or return;
    if ($held) { $touched = 1; close $socket; return; }
    main::non_blocking($socket);
    $open{ ++$last } = { socket => $socket, queue => '', credit => $window, taken => 0, served => $turn++ };
    main::say_message($say{open}, pack('V', $last));
}

sub hear {
    my ($type, $payload) = @_;
    my $number = unpack('V', $payload);
    return unless $hear{$type} && $open{$number};
    $hear{$type}->($open{$number}, substr($payload, 4));
    move_in($number);
}

# From the link into the sandbox.
sub move_in {
    my ($number) = @_;
    my $one = $open{$number};
    while ($one->{socket} && length $one->{queue}) {
        my $done = syswrite($one->{socket}, $one->{queue});
        if (!defined $done) { last if $!{EAGAIN} || $!{EINTR}; return finish($number); }
        substr($one->{queue}, 0, $done, '');
        $one->{taken} += $done;
    }
    if (!$one->{socket}) { delete $open{$number} if $one->{heard_close}; return; }
    my $empty = !length $one->{queue};
    if ($one->{taken} >= $window / 4 || ($one->{taken} && $empty)) {
        main::say_message($say{credit}, pack('V V', $number, $one->{taken}));
        $one->{taken} = 0;
    }
    return unless $empty;
    return finish($number) if $one->{heard_close} || ($one->{heard_end} && $one->{said_end});
    shutdown($one->{socket}, 1) if $one->{heard_end} && !$one->{shut}++;
}

# From the sandbox to the link.
sub move_out {
    my ($number) = @_;
    my $one = $open{$number};
    my $most = $one->{credit} < $payload_max ? $one->{credit} : $payload_max;
    my $count = sysread($one->{socket}, my $bytes, $most);
    if (!defined $count) { return if $!{EAGAIN} || $!{EINTR}; return finish($number); }
    $one->{served} = $turn++;
    if ($count) {
        $one->{credit} -= $count;
        main::say_message($say{data}, pack('V', $number) . $bytes);
        return;
    }
    $one->{said_end} = 1;
    main::say_message($say{end}, pack('V', $number));
    finish($number) if $one->{heard_end} && !length $one->{queue};
}

# A number is free once both sides have closed: until then the other may still speak of it.
sub finish {
    my ($number) = @_;
    my $one = $open{$number};
    close $one->{socket};
    ($one->{socket}, $one->{queue}) = (undef, '');
    main::say_message($say{close}, pack('V', $number));
    delete $open{$number} if $one->{heard_close};
}

# The other side is gone, and with it what it held of every connection.
sub drop_all {
    for my $one (values %open) { close $one->{socket} if $one->{socket}; }
    %open = ();
}

1;
