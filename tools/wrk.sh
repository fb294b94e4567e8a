#!/usr/bin/env bash
# Make sure that the benchmarks find wrk, which asks the server.
set -euo pipefail
command -v wrk >/dev/null && exit 0
if command -v apt-get >/dev/null; then
  echo "Setting up: wrk, from the distribution's packages"
  if [ "$(id -u)" = 0 ]; then
    as_root=()
  else
    as_root=(sudo -n)
  fi
  "${as_root[@]}" apt-get -qq update >/dev/null &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y wrk >/dev/null && exit 0
fi
echo "make bench asks the server with wrk, and it could not be installed." >&2
exit 1
