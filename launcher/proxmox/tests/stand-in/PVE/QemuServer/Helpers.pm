# SPDX-License-Identifier: GPL-2.0-or-later
package PVE::QemuServer::Helpers;

use strict;
use warnings;

sub kvm_user_version {
    return '10.0.2';
}

1;
