# SPDX-License-Identifier: GPL-2.0-or-later
package PVE::QemuServer::Machine;

# What the patch touches of qemu-server's module of this name.

use strict;
use warnings;

use PVE::QemuServer::Helpers;

my $machine_fmt = {
    type => {
        pattern =>
            '(pc|pc(-i440fx)?-\d+(\.\d+)+(\+pve\d+)?(\.pxe)?|q35|pc-q35-\d+(\.\d+)+(\+pve\d+)?(\.pxe)?|virt(?:-\d+(\.\d+)+)?(\+pve\d+)?)',
        maxLength => 40,
    },
};

sub valid {
    my ($type) = @_;
    return $type =~ m/^$machine_fmt->{type}->{pattern}$/ ? 1 : 0;
}

sub base_type {
    my ($machine_type) = @_;

    return 'q35' if $machine_type =~ m/q35/;
    return 'i440fx' if $machine_type =~ m/^pc/;
    return 'virt' if $machine_type =~ m/^virt/;

    die "unable to determine machine base type '$machine_type'\n";
}

my $flags = {
    i440fx => { hpet => 1 },
    q35 => { hpet => 1 },
    virt => {},
};

sub knows {
    my ($base_type) = @_;
    return exists($flags->{$base_type}) ? 1 : 0;
}

sub version_parts {
    my ($machine_type) = @_;

    if ($machine_type =~
        m/^(?:pc(?:-i440fx|-q35)?|virt)-(\d+)\.(\d+)(?:\.(\d+))?(?:\+pve(\d+))?(?:\.pxe)?/
    ) {
        return ($1, $2, $4);
    }
    return;
}

sub get_vm_machine {
    my ($conf, $forcemachine) = @_;
    my $machine = $forcemachine || $conf->{machine};

    if (!$machine || $machine =~ m/^(?:pc|q35|virt)$/) {
        my $kvmversion = PVE::QemuServer::Helpers::kvm_user_version();
        $machine ||= 'pc';
        $machine .= "+pve1" if $kvmversion;
    }
    return $machine;
}

1;
