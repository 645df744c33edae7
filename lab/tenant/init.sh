#!/bin/sh
# /sbin/init of the lab's tenant. Reads from its config drive who it is, says so on the console, and stays up.
# The root is mounted read-only and stays so: what changes lives in tmpfs.
export PATH=/bin
say() { echo "TENANT: $*" >/dev/console; }

# field NAME : the text value of a top-level key in the metadata, which is JSON on one line or many.
field() { tr -d '\n' </run/config-drive/openstack/latest/meta_data.json | sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p"; }

mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /root
for module in $(cat /lib/modules/order); do insmod "/lib/modules/$module.ko" 2>/dev/null; done

for try in $(seq 20); do
  drive=$(findfs LABEL=config-2 2>/dev/null) && break
  sleep 0.1
done
mkdir -p /run/config-drive
if [ -n "$drive" ] && mount -t iso9660 -o ro "$drive" /run/config-drive; then
  name=$(field hostname)
  instance=$(field uuid)
  hostname "$name"
  mkdir -p /root/.ssh
  # The first key pair: "public_keys": {"<name>": "<key>"}.
  tr -d '\n' </run/config-drive/openstack/latest/meta_data.json |
    sed -n 's/.*"public_keys": *{ *"[^"]*": *"\([^"]*\)".*/\1/p' | sed 's/\\n//g' >/root/.ssh/authorized_keys
  chmod 600 /root/.ssh/authorized_keys
  key=$(tr -d '\n' </root/.ssh/authorized_keys | sha256sum | cut -d' ' -f1)
else
  say "there is no config drive (no iso9660 file system labelled config-2)"
fi

root=$(sed -n 's/^\([^ ]*\) \/ .*/\1/p' /proc/mounts | tail -n 1)
uuid=$(sed -n 's/.*root=UUID=\([^ ]*\).*/\1/p' /proc/cmdline)
echo "TENANT-MARKER hostname=$(hostname) key=${key:--} root=$root uuid=$uuid instance=${instance:--}" >/dev/console

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
