#!/usr/bin/env bash
# The lab's registry: minidock-registry as a service, on the network between the machines. A second run changes nothing.
set -euo pipefail
unit=/etc/systemd/system/minidock-registry.service
new=$(cat <<'UNIT'
[Unit]
Description=A registry for the lab
After=network-online.target
Wants=network-online.target

[Service]
ExecStart=/usr/local/bin/minidock-registry serve --listen 0.0.0.0:5000
Restart=on-failure

[Install]
WantedBy=multi-user.target
UNIT
)
if [ "$(cat $unit 2>/dev/null)" != "$new" ]; then
    echo "minidock: the registry listens on port 5000"
    echo "$new" >$unit
    systemctl daemon-reload
    systemctl enable --quiet --now minidock-registry.service
fi
