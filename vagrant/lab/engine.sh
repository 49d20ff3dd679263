#!/usr/bin/env bash
# engine.sh REGISTRY: the lab's engine may speak plain http to that machine. A second run changes nothing.
set -euo pipefail
file=/etc/minidock/daemon.json
new="{\"insecure-registries\": [\"$1:5000\"]}"
if [ "$(cat $file 2>/dev/null)" != "$new" ]; then
    echo "minidock: the registry is $1:5000"
    mkdir -p "$(dirname $file)"
    echo "$new" >$file
    systemctl restart minidockd.service
fi
