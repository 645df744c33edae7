#!/bin/sh
# /sbin/init of the lab's tenant. Reads from its config drive who it is, says so on the console, and stays up.
# The root is mounted read-only and stays so: what changes lives in tmpfs.
export PATH=/bin
say() { echo "TENANT: $*" >/dev/console; }

# field NAME : sets $value to the text of a top-level key in $metadata, which is JSON; empty if there is none.
# By the shell alone: a pipeline costs 30 ms in an emulated machine.
field() {
  value=${metadata#*\"$1\":*\"}
  [ "$value" = "$metadata" ] && value=
  value=${value%%\"*}
}

mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /root
while read -r module; do insmod "/lib/modules/$module.ko" 2>/dev/null; done </lib/modules/order

tries=20
while [ $((tries -= 1)) -ge 0 ]; do
  drive=$(findfs LABEL=config-2 2>/dev/null) && break
  sleep 0.1
done
mkdir -p /run/config-drive
if [ -n "$drive" ] && mount -t iso9660 -o ro "$drive" /run/config-drive; then
  metadata=$(cat /run/config-drive/openstack/latest/meta_data.json)
  field uuid
  instance=$value
  field hostname
  hostname "$value"
  # The first key pair: "public_keys": {"<name>": "<key>"}.
  case $metadata in
    *\"public_keys\":*)
      value=${metadata#*\"public_keys\":*\"*\"*\"}
      value=${value%%\"*}
      mkdir -p -m 700 /root/.ssh
      (umask 077 && echo "${value//\\n/}" >/root/.ssh/authorized_keys)
      key=$(printf %s "${value//\\n/}" | sha256sum)
      key=${key%% *}
      ;;
  esac
else
  say "there is no config drive (no iso9660 file system labelled config-2)"
fi

# The last mount on / is the one in use.
while read -r device folder rest; do [ "$folder" = / ] && root=$device; done </proc/mounts
read -r words </proc/cmdline
for word in $words; do
  case $word in root=UUID=*) uuid=${word#root=UUID=} ;; esac
done
read -r name </proc/sys/kernel/hostname
echo "TENANT-MARKER hostname=$name key=${key:--} root=$root uuid=$uuid instance=${instance:--}" >/dev/console

cat >/tmp/dhcp <<'SCRIPT'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/${mask:-24}" dev "$interface"
SCRIPT
chmod 755 /tmp/dhcp
for folder in /sys/class/net/*; do
  interface=${folder##*/}
  [ "$interface" = lo ] || break
done
ip link set lo up
ip link set "$interface" up
if udhcpc -n -q -t 5 -T 1 -i "$interface" -s /tmp/dhcp >/dev/null 2>&1; then
  say "address $(ip -4 -o addr show "$interface" | tr -s ' ' | cut -d' ' -f4) on $interface"
else
  say "DHCP gave no address on $interface"
fi
while :; do sleep 3600; done
