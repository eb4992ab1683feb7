#!/usr/bin/env bash
# Installs the programs of other people that the live tests check names (testnet/local/names.live.test.ts) and logins of
# registries with, those that make the NATs of the lab, and those that the bench compares tunnels with, where they are missing; Debian, as root. No service of theirs is started: the tests run their own on loopback.
set -euo pipefail

missing=()
need() { command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] || missing+=("$2"); }
need curl curl
need wget wget
need dig bind9-dnsutils
need nc netcat-openbsd
need ssh openssh-client
need sshd openssh-server
need socat socat
need openssl openssl
need redis-server redis-server
need docker-registry docker-registry
need ip iproute2
need nft nftables
need miniupnpd miniupnpd
need wrk wrk
need psql postgresql-client
need pg_ctlcluster postgresql
[ "${#missing[@]}" -eq 0 ] && exit 0

command -v apt-get >/dev/null || { printf 'programs: install these first: %s\n' "${missing[*]}" >&2; exit 1; }
printf 'programs: installing %s\n' "${missing[*]}" >&2
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
