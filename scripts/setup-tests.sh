#!/bin/bash
# Installs what the tests need from Debian's packages: the servers which they start by themselves on free ports, and the
# client programs which they drive. Packages which are there are left alone; no service is started.
#   scripts/setup-tests.sh [--list]     --list: print the packages and end
set -euo pipefail

packages=(
  rabbitmq-server          # the broker
  postgresql               # the data centre's database
  mariadb-server           # and its MySQL dialect
  awscli                   # aws
  python3-boto             # boto 2.49
  python3-boto3            # boto3
  s3cmd curl               # s3cmd, and what fetches signed URLs
  g++ make python3         # SQLite's binding, where no prebuilt one fits
  util-linux               # runuser
)

if [[ ${1:-} == --list ]]; then
  printf '%s\n' "${packages[@]}"
  exit 0
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ $status == installed ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  exit 0
fi

sudo=()
if ((EUID != 0)); then
  if ! command -v sudo >/dev/null; then
    echo "setup-tests: these packages are missing, and only root can install them: ${missing[*]}" >&2
    exit 1
  fi
  sudo=(sudo)
fi

echo "setup-tests: installing ${missing[*]}"
# The tests start servers of their own: the packages must not start theirs.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
  "${sudo[@]}" chmod +x "$policy"
  trap '"${sudo[@]}" rm -f "$policy"' EXIT
fi
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
