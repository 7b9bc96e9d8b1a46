#!/bin/sh
# Made by `delivery share config`. Makes the servers' own keys and the list of logins where they are missing; nobody else
# can read them.
set -eu
umask 077
cd "{{ run }}"
[ -s session.key ] || openssl rand -hex 32 >session.key
[ -s host.key ] || ssh-keygen -q -t ed25519 -N "" -C "" -f host.key
chmod 644 host.key.pub
[ -s {{ logins }} ] || cp "{{ here }}/{{ logins }}" {{ logins }}
