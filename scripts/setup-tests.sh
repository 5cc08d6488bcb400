#!/bin/bash
# Installs what the tests need from Debian's packages: the servers which they start by themselves on free ports, and the
# client programs which they drive. Packages which are there are left alone; no service is started. Where there is
# Python 2.7, boto and libcloud of its days are put into a cache folder; where there is none, those tests are skipped by name.
#   scripts/setup-tests.sh [--list]     --list: print the packages and end
set -euo pipefail

packages=(
  rabbitmq-server          # the broker
  postgresql               # the data centre's database
  mariadb-server           # and its MySQL dialect
  awscli                   # aws
  python3-boto             # boto 2.49
  python3-boto3            # boto3
  python3-libcloud         # libcloud
  ruby-fog-aws             # fog-aws
  s3cmd curl               # s3cmd, and what fetches signed URLs
  openssh-client           # ssh-keygen, which makes a public key to import
  g++ make python3         # SQLite's binding, where no prebuilt one fits
  util-linux               # runuser
)

# By `PACKAGE-VERSION`: the hash of what PyPI has.
declare -A old_clients=(
  [boto-1.9b]=9f2372515a73260199aa041b93e490ef63bb6eaf9f95c58f6b3da7535b1b394e
  [boto-2.0]=7b8714b0a6054f3a8c1b8e0908b8a0606c528c2c04b2910fb6dbd4337692e16b
  [apache-libcloud-0.5.2]=f99af794a47672a6f7a775c998e71ea6a13d0e1ed22faa86adc2e4302a61a9e9
)

if [[ ${1:-} == --list ]]; then
  printf '%s\n' "${packages[@]}"
  exit 0
fi

install_packages() {
  local package status missing=() sudo=() policy=/usr/sbin/policy-rc.d
  for package in "${packages[@]}"; do
    status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [[ $status == installed ]] || missing+=("$package")
  done
  ((${#missing[@]} > 0)) || return 0
  if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
      echo "setup-tests: these packages are missing, and only root can install them: ${missing[*]}" >&2
      exit 1
    fi
    sudo=(sudo)
  fi
  echo "setup-tests: installing ${missing[*]}"
  # The tests start servers of their own: the packages must not start theirs.
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
    "${sudo[@]}" chmod +x "$policy"
    trap '"${sudo[@]}" rm -f "$policy"' EXIT
  fi
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# A folder for each version, and a link `python2.7`: test/clients looks there.
install_old_clients() {
  local python client folder cache=${XDG_CACHE_HOME:-$HOME/.cache}/nova-tests
  mkdir -p "$cache"
  rm -f "$cache/python2.7"
  python=$(find_python2) || return 0
  ln -s "$python" "$cache/python2.7"
  for client in "${!old_clients[@]}"; do
    folder=$cache/$client
    [[ -d $folder ]] && continue
    echo "setup-tests: installing $client for Python 2.7"
    rm -rf "$folder" "$folder.new"
    mkdir -p "$folder.new"
    printf '%s==%s --hash=sha256:%s\n' "${client%-*}" "${client##*-}" "${old_clients[$client]}" >"$folder.new/requirements.txt"
    if ! "$python" -m pip install --quiet --no-deps --require-hashes --target "$folder.new" \
      -r "$folder.new/requirements.txt" 2>"$folder.new/messages"; then
      cat "$folder.new/messages" >&2
      echo "setup-tests: $client for Python 2.7 can't be installed; its tests will fail" >&2
      continue
    fi
    mv "$folder.new" "$folder"
  done
}

# An interpreter which runs: a name on PATH may be a shim for none.
find_python2() {
  local candidate
  for candidate in python2.7 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/2.7*/bin/python2.7 /usr/local/bin/python2.7; do
    "$candidate" -c 'import sys; print(sys.executable)' 2>/dev/null && return
  done
  return 1
}

install_packages
install_old_clients
