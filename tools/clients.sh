#!/usr/bin/env bash
# Fetch Supabase's JavaScript clients and command line, which the tests drive, into tests/clients/node_modules.
set -euo pipefail
source tools/node.sh 22

echo "Setting up: Supabase's JavaScript clients and command line"
install_locked tests/clients
