# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What the scripts of this directory share: where the cache is, and how a long step is shown.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2034  # for those who source this
top=$(dirname "$here")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/microvm-launch
mkdir -p "$cache"

# dpkg-buildpackage sets flags for one architecture, which firmware cannot have; and what the cache keeps is
# known by a hash in which they are not.
unset ASFLAGS CFLAGS CPPFLAGS CXXFLAGS DFLAGS FCFLAGS FFLAGS GCJFLAGS LDFLAGS OBJCFLAGS OBJCXXFLAGS RUSTFLAGS

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# hash_of FILE|TEXT...: one hash of all the files' contents and of the texts that are no files.
hash_of() {
    local item
    for item; do
        if [ -f "$item" ]; then
            sha256sum <"$item"
        else
            echo "$item"
        fi
    done | sha256sum | cut -c1-16
}

# The packages of a group, one a line.
packages_of() {
    awk -v group="$1" '!/^#/ && NF == 2 && index("," $1 ",", "," group ",") { print $2 }' \
        "$here/packages"
}

# Versions of what a group's packages are on this machine: an input of every build.
versions_of() {
    packages_of "$1" | xargs dpkg-query -W 2>/dev/null
}

# Only one process at a time builds what the lock stands for.
lock() {
    exec {lock_fd}>"$cache/$1.lock"
    flock "$lock_fd"
}

# Runs a command in a mount namespace of its own. In a chroot, whose root is no mount point, mounts
# there cannot be kept from the namespace that we came from: so the command unmounts what it mounts.
in_mount_namespace() {
    if unshare --mount true 2>/dev/null; then
        unshare --mount "$@"
    else
        unshare --mount --propagation unchanged "$@"
    fi
}

# Reads a step's output and shows how far it is: by "[N/M]" as ninja writes it, by apt's status lines,
# or by counting the lines that match $2 against the $3 that the whole step is known to have. A
# terminal sees each change on one line; elsewhere only every tenth of the way is printed.
show_progress() {
    local title=$1 pattern=$2 total=$3 count=0 percent=0 shown=-10 line
    while IFS= read -r line; do
        if [[ $line =~ ^\[([0-9]+)/([0-9]+)\] ]]; then
            percent=$((100 * BASH_REMATCH[1] / BASH_REMATCH[2]))
        elif [[ $line =~ ^(dlstatus|pmstatus):[^:]*:([0-9]+) ]]; then
            percent=${BASH_REMATCH[2]}
        elif [ -n "$pattern" ] && [[ $line =~ $pattern ]]; then
            count=$((count + 1))
            percent=$((100 * count / total))
        else
            continue
        fi
        percent=$((percent > 100 ? 100 : percent))
        if [ -t 2 ]; then
            printf '\r\033[K  %-34s %3d%%  %ds' "$title" "$percent" $((SECONDS - started)) >&2
        elif [ $((percent - shown)) -ge 10 ]; then
            shown=$percent
            printf '  %-34s %3d%%  %ds\n' "$title" "$percent" $((SECONDS - started)) >&2
        fi
    done
}

# The Debian mirror that apt on this machine is set up with.
mirror() {
    local uri
    uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' \
          'Label: Debian' | sort -u | head -n 1)
    [ -n "$uri" ] || die "apt on this machine has no Debian mirror set up (apt-get update?)"
    echo "$uri"
}

# step TITLE LOG PATTERN TOTAL COMMAND...: run a long command with its output in LOG, show how far
# it is, and say how long it took. A failure prints the end of the log.
step() {
    local title=$1 log=$2 pattern=$3 total=$4 started=$SECONDS rc=0
    shift 4
    mkdir -p "$(dirname "$log")"
    [ -t 2 ] && printf '\r\033[K  %-34s ...' "$title" >&2
    set +e
    (set -e; "$@") 2>&1 </dev/null | tee "$log" | show_progress "$title" "$pattern" "$total"
    rc=${PIPESTATUS[0]}
    set -e
    [ -t 2 ] && printf '\r\033[K' >&2
    if [ "$rc" != 0 ]; then
        tail -n 30 "$log" >&2
        die "$title failed (status $rc); all its output is in $log"
    fi
    printf '  %-34s done in %ds\n' "$title" $((SECONDS - started)) >&2
}
