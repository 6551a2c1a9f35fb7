# What the scripts of ci/ share: where the root is, a closing line with versions and seconds, apt.
# Sourced by each, after `set -euo pipefail`.
# shellcheck shell=bash disable=SC2034

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
script=$(basename "$0")
# Flags that change how everything is compiled get a target directory of their own below this one, or each
# script would throw away what the one before it built.
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}

say() { printf '%s: %s\n' "$script" "$*"; }

# Runs a command, having printed it so that it can be pasted.
run() {
    printf '+%s' "${RUSTFLAGS:+ RUSTFLAGS=\"$RUSTFLAGS\"}"
    printf ' %q' "$@"
    printf '\n'
    "$@"
}

# Installs Debian packages by name, where they are missing and apt is there to ask.
apt_install() {
    local sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    say "installing $*"
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# All of a list is read, here and below: who leaves a pipe early fails, now and then, whoever still writes into it.
has_nightly() { rustup toolchain list 2>/dev/null | grep '^nightly' >/dev/null; }

# packaged PACKAGE END: the first file of an installed Debian package whose path ends so.
packaged() {
    dpkg -L "$1" | awk -v end="$2" '
        !found && substr($0, length($0) - length(end) + 1) == end { print; found = 1 }
        END { exit !found }'
}

finished() {
    local status=$?
    if [ "$status" = 0 ]; then
        say "passed in $SECONDS s ($(rustc --version), $(nproc) CPUs)"
    else
        say "FAILED with status $status after $SECONDS s" >&2
    fi
}
trap finished EXIT
# Else a script that is told to stop would end with the status of whatever it did before.
trap 'exit 130' INT
trap 'exit 143' TERM HUP
