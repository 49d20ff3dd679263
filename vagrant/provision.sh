#!/usr/bin/env bash
# Make a Debian machine one with minidock: the engine, its service, a group for its users, completion, an image.
# Does only what is missing, and says what it does: a second run is silent and changes nothing.
# Run as root. MINIDOCK_SOURCE: where the checkout is (/vagrant).
set -euo pipefail
source=${MINIDOCK_SOURCE:-/vagrant}
cd "$source"

say() { echo "minidock: $*"; }

# put FILE: standard input becomes FILE, unless it is that already.
put() {
    local new
    new=$(mktemp)
    cat >"$new"
    if ! cmp -s "$new" "$1"; then
        say "$1"
        install -D -m 644 "$new" "$1"
    fi
    rm -f "$new"
}

# What the installation is made of, in one number.
fingerprint() {
    find minidock packaging pyproject.toml -type f ! -name '*.pyc' -print0 2>/dev/null | sort -z | xargs -0 sha256sum | sha256sum
}

with_systemd() { [ -d /run/systemd/system ]; }

install_minidock() {
    local stamp=/opt/minidock/provisioned-from
    [ "$(cat $stamp 2>/dev/null)" = "$(fingerprint)" ] && return
    say "installing from $source"
    make --no-print-directory install
    with_systemd && make --no-print-directory install-systemd
    fingerprint >$stamp
    # Containers live on while the daemon is replaced.
    if with_systemd && systemctl is-active --quiet minidockd.service; then systemctl restart minidockd.service; fi
}

install_completion() {
    if [ ! -e /usr/share/bash-completion/bash_completion ]; then
        say "installing bash-completion"
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends bash-completion >/dev/null
    fi
    minidock completion bash | put /usr/share/bash-completion/completions/minidock
}

# Members of the group minidock may talk to the daemon, which is to say that they are root.
make_group() {
    if ! getent group minidock >/dev/null; then
        say "group minidock"
        groupadd --system minidock
    fi
    local user=${SUDO_USER:-vagrant}
    if id "$user" >/dev/null 2>&1 && ! id -nG "$user" | grep -qw minidock; then
        say "$user is in the group minidock"
        usermod --append --groups minidock "$user"
    fi
}

start_service() {
    with_systemd || return 0
    if ! systemctl is-active --quiet minidockd.socket || ! systemctl is-enabled --quiet minidockd.service; then
        say "starting minidockd"
        systemctl enable --quiet --now minidockd.socket minidockd.service
    fi
}

make_image() {
    if ! minidock image inspect tiny >/dev/null 2>&1; then
        say "the image tiny"
        minidock-tiny | minidock import --change 'CMD ["sh"]' - tiny >/dev/null
    fi
    # Without systemd the client has started the daemon for this alone.
    with_systemd || minidock system stop >/dev/null 2>&1
}

make_group
install_minidock
install_completion
start_service
make_image
put /etc/motd <vagrant/motd
