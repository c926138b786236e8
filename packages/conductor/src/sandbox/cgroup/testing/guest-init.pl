#!/usr/bin/perl
# The first process of a guest for tests that need a kernel whose control groups are version 2 only: mounts what a machine has, runs the
# program of the second disk with the image's Node as root, and ends. Numbers are those of Linux on x86_64.
use strict;
use warnings;

$| = 1;
sub over { my ($what) = @_; print "guest-init: $what: $!\n" if defined $what; syscall(169, 0xfee1dead, 672274793, 0x01234567, 0); sleep 1 while 1; }
sub mount_at {
    my ($source, $target, $type, $flags) = @_;
    # syscall() takes a string as a pointer and must be able to write to it.
    my ($a, $b, $c, $d) = ("$source\0", "$target\0", "$type\0", "\0");
    syscall(165, $a, $b, $c, $flags, $d) == 0 or over("mount $target");
}

mkdir $_ for '/proc', '/dev', '/image';
mount_at('devtmpfs', '/dev', 'devtmpfs', 0);
open(my $order, '<', '/modules/order') or over('modules');
for my $name (split ' ', <$order>) {
    open(my $module, '<', "/modules/$name") or over($name);
    my $none = "\0";
    syscall(313, fileno($module), $none, 0) == 0 or over($name);
}
for my $disk ('/dev/vda', '/dev/vdb') { for (1 .. 500) { last if -b $disk; select(undef, undef, undef, 0.01); } }
mount_at('/dev/vda', '/image', 'ext4', 1);
mount_at('/dev/vdb', '/image/bundle', 'ext4', 1);
mount_at('proc', '/image/proc', 'proc', 0);
mount_at('devtmpfs', '/image/dev', 'devtmpfs', 0);
# The image has no folder for them.
mount_at('groups', '/image/tmp', 'cgroup2', 0);
chroot '/image' or over('chroot');
chdir '/';
%ENV = (PATH => '/usr/bin:/bin');
system('/run/maestro/node', '/bundle/program.mjs');
over();
