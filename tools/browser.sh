#!/usr/bin/env bash
# Make sure that the browser tests find Chromium, or say in one line that they were not run.
set -euo pipefail
for name in chromium chromium-browser google-chrome; do
  command -v "$name" >/dev/null && exit 0
done

if command -v apt-get >/dev/null; then
  if [ "$(id -u)" = 0 ]; then
    as_root=()
  elif sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  fi
fi
if [ -n "${as_root+set}" ]; then
  echo "Setting up: Chromium, from the distribution's packages"
  log=$(mktemp)
  if "${as_root[@]}" apt-get -qq update >"$log" 2>&1 &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y chromium >>"$log" 2>&1; then
    rm -f "$log"
    exit 0
  fi
  tail -n 3 "$log" >&2
fi

if [ "${CI:-}" = true ]; then
  echo "Chromium is missing and could not be installed; in CI that is a failure." >&2
  exit 1
fi
echo "Not run: the browser tests, because there is no Chromium and no right to install it."
