#!/usr/bin/env bash
# Runs a command next to a Docker engine of its own:  testnet/lab/with-docker.sh COMMAND [ARGUMENTS…]
#
# Engine and command share fresh network, mount and process namespaces: nothing that the engine makes (bridge,
# firewall rules, mounts, processes) is visible outside, and all of it is gone when the command ends, however it ends.
# There is no way to a registry from in there; the images coppice-busybox:latest and busybox:latest are made from the device's own
# static busybox. The command finds DOCKER_HOST set. Needs root; installs docker.io and busybox-static (Debian) where they
# are missing.
set -euo pipefail

# Under the name that people know as well, so that descriptors written for them run in here.
readonly images=(coppice-busybox:latest busybox:latest)
# Time for the engine to answer, in tenths of a second: measured 2 s on a 2-core VM.
readonly start_tenths_max=600

fail() {
  printf 'with-docker: %s\n' "$1" >&2
  exit 1
}

install_missing() {
  local missing=()
  command -v dockerd >/dev/null || missing+=(docker.io)
  command -v busybox >/dev/null || missing+=(busybox-static)
  command -v iptables >/dev/null || missing+=(iptables)
  [ "${#missing[@]}" -eq 0 ] && return
  command -v apt-get >/dev/null || fail "install these first: ${missing[*]}"
  printf 'with-docker: installing %s\n' "${missing[*]}" >&2
  # The package's service must not start: this script runs its own engine.
  local policy=/usr/sbin/policy-rc.d made_policy=no
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    made_policy=yes
  fi
  local outcome=0
  {
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
  } >"$state/install.log" 2>&1 || outcome=$?
  [ "$made_policy" = yes ] && rm -f "$policy"
  if [ "$outcome" -ne 0 ]; then
    tail -n 20 "$state/install.log" >&2
    fail "could not install ${missing[*]}"
  fi
}

# Makes the image out of one static binary and the names under which it answers.
import_image() {
  local root=$state/image name
  mkdir -p "$root/bin" "$root/tmp" "$root/etc"
  cp "$(command -v busybox)" "$root/bin/busybox"
  for name in cat echo env false httpd kill ls nc printf sh sleep true wget; do ln -s busybox "$root/bin/$name"; done
  for name in "${images[@]}"; do tar -C "$root" -c . | "$docker" import - "$name" >/dev/null; done
}

# The second half, inside the namespaces.
inside() {
  busybox ip link set lo up
  export DOCKER_HOST=unix://$state/docker.sock
  dockerd --host "$DOCKER_HOST" --data-root "$state/data" --exec-root "$state/exec" --pidfile "$state/docker.pid" \
    "$@" >"$state/dockerd.log" 2>&1 &
  engine=$!
  local tenths=0
  until "$docker" version >/dev/null 2>&1; do
    tenths=$((tenths + 1))
    if [ "$tenths" -gt "$start_tenths_max" ] || ! kill -0 "$engine" 2>/dev/null; then return 1; fi
    sleep 0.1
  done
}

stop_engine() {
  [ -n "${engine:-}" ] || return 0
  kill "$engine" 2>/dev/null || true
  wait "$engine" 2>/dev/null || true
  engine=
}

if [ "${COPPICE_WITH_DOCKER:-}" != inside ]; then
  [ "$#" -gt 0 ] || fail 'which command? with-docker.sh COMMAND [ARGUMENTS…]'
  [ "$(id -u)" -eq 0 ] || fail 'needs root, for the engine and its namespaces'
  state=$(mktemp -d "${TMPDIR:-/tmp}/coppice-docker.XXXXXX")
  trap 'rm -rf "$state"' EXIT
  install_missing
  # A group of its own, so that a signal to this script can be handed on to all of it, whoever it was sent by.
  set -m
  COPPICE_WITH_DOCKER=inside COPPICE_WITH_DOCKER_STATE=$state \
    unshare --net --mount --pid --fork --kill-child --mount-proc "$0" "$@" </dev/null &
  group=$!
  set +m
  trap 'kill -TERM -- "-$group" 2>/dev/null || true' INT TERM HUP
  outcome=0
  wait "$group" || outcome=$?
  # A signal ends `wait` early.
  while kill -0 "$group" 2>/dev/null; do
    outcome=0
    wait "$group" || outcome=$?
  done
  exit "$outcome"
fi

state=$COPPICE_WITH_DOCKER_STATE
unset COPPICE_WITH_DOCKER COPPICE_WITH_DOCKER_STATE
# The distribution's client, next to its engine.
docker=/usr/bin/docker
[ -x "$docker" ] || docker=docker
trap stop_engine EXIT
trap 'exit 143' TERM
if ! inside; then
  stop_engine
  # Some file systems do not take overlay mounts; this driver copies instead and works everywhere.
  inside --storage-driver=vfs || { tail -n 20 "$state/dockerd.log" >&2; fail 'the engine did not start'; }
fi
import_image
"$@"
