# SPDX-License-Identifier: GPL-2.0-or-later
package PVE::QemuServer;

# What the patch touches of qemu-server's module of this name, and what calls it, written anew from
# docs/proxmox.md; the rest is left out.

use strict;
use warnings;

use PVE::QemuServer::Machine;

sub config_to_command {
    my ($storecfg, $vmid, $conf, $defaults, $options) = @_;

    my $cmd = ['/usr/bin/kvm', '-id', $vmid];
    return wantarray ? ($cmd, 61000, {}, $conf) : $cmd;
}

# As a start does: list context, $conf replaced by what comes back, more words behind the command.
sub start {
    my ($vmid, $conf, $options, @state) = @_;

    my ($cmd, $spice_port, $pci_devices);
    ($cmd, $spice_port, $pci_devices, $conf) =
        config_to_command({}, $vmid, $conf, {}, $options);
    push @$cmd, @state;
    die "a device of the host\n" for values $pci_devices->%*;
    return ($cmd, $spice_port, $conf->{balloon});
}

# As "qm showcmd" does: scalar context, a snapshot's config.
sub vm_commandline {
    my ($vmid, $conf, $snapname) = @_;

    my $options = { 'dry-run' => 1 };
    if ($snapname) {
        $conf = { $conf->{snapshots}->{$snapname}->%*, digest => $conf->{digest} };
        $options->{'force-machine'} = $conf->{runningmachine};
    }
    my $cmd = config_to_command({}, $vmid, $conf, {}, $options);
    return join(' ', @$cmd);
}

1;
