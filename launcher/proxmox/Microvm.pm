# SPDX-License-Identifier: GPL-2.0-or-later
package PVE::QemuServer::Microvm;

# What config_to_command() of PVE::QemuServer returns for guests on QEMU's microvm board, whose command
# line microvm-launch(1) works out.

use strict;
use warnings;

use PVE::Tools;

my $launcher = '/usr/bin/microvm-launch';

# Keys that are about the file, or that the caller acts on and hands over as options.
my $not_ours = qr/^(?:digest|description|lock|parent|snapstate|snaptime|running.*)$/;

# The config as text. The file may say something else: $conf is a snapshot's, of a guest on the node it
# comes from, or has volumes that a migration has made on this node.
my sub config_text {
    my ($conf) = @_;

    my $text = '';
    for my $key (sort keys $conf->%*) {
        my $value = $conf->{$key};
        next if !defined($value) || ref($value) || $key =~ $not_ours;
        die "$key: a line break in its value\n" if $value =~ m/[\r\n]/;
        $text .= "$key: $value\n";
    }
    utf8::encode($text) if utf8::is_utf8($text);
    return $text;
}

# The words that microvm-launch prints, each with a NUL behind it.
my sub ask_launcher {
    my ($command, $text) = @_;

    my ($out, @said) = ('');
    my $status = PVE::Tools::run_command(
        $command,
        input => $text,
        outfunc => sub { $out .= shift },
        errfunc => sub { push @said, shift =~ s!^(?:microvm-launch: )?(?:/dev/stdin:\d+: )?!!r },
        noerr => 1,
    );
    die map { "microvm: $_\n" } @said ? @said : "$launcher ended with $status" if $status != 0;
    warn "microvm: $_\n" for @said;

    my @words = split(/\0/, $out, -1);
    pop @words; # behind the last NUL
    die "microvm: $launcher has printed no command\n" if !@words;
    return map { m/^(.*)$/s } @words; # the daemons run with -T; nothing here goes through a shell
}

sub config_to_command {
    my ($storecfg, $vmid, $conf, $defaults, $options) = @_;

    die "microvm: a live restore is not possible, restore without it\n"
        if keys(($options->{'live-restore-backing'} // {})->%*);

    my $command = [$launcher, '--host', 'proxmox', '--id', $vmid, '--print0'];
    for my $option (qw(force-machine force-cpu nets-host-mtu)) {
        my $value = $options->{$option};
        push $command->@*, "--$option", $value if defined($value) && $value ne '';
    }
    push $command->@*, '/dev/stdin';

    my $cmd = [ask_launcher($command, config_text($conf))];
    unshift $cmd->@*, '/usr/bin/taskset', '--cpu-list', '--all-tasks', $conf->{affinity}
        if $conf->{affinity};

    # no port of SPICE, no PCI devices of the host
    return wantarray ? ($cmd, undef, {}, $conf) : $cmd;
}

1;
