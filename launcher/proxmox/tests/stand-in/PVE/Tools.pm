# SPDX-License-Identifier: GPL-2.0-or-later
package PVE::Tools;

use strict;
use warnings;

# As Proxmox's function of this name, for the parameters that are used here: lines go to outfunc and
# errfunc, and with noerr the exit status comes back.
sub run_command {
    my ($cmd, %param) = @_;

    my @files = map { open(my $fh, '+>', undef) or die "a file: $!\n"; $fh } 0 .. 2;
    syswrite($files[0], $param{input});
    sysseek($files[0], 0, 0);
    my $pid = fork() // die "fork: $!\n";
    if (!$pid) {
        open(STDIN, '<&', $files[0]);
        open(STDOUT, '>&', $files[1]);
        open(STDERR, '>&', $files[2]);
        exec { $cmd->[0] } @$cmd or exit(127);
    }
    waitpid($pid, 0);
    my $status = $?;
    for my $i (1, 2) {
        seek($files[$i], 0, 0);
        while (defined(my $line = readline($files[$i]))) {
            chomp($line);
            $param{ $i == 1 ? 'outfunc' : 'errfunc' }->($line);
        }
    }
    die "command failed\n" if $status && !$param{noerr};
    return $status >> 8;
}

1;
