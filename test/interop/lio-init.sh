#!/bin/sh
# The init of the LIO interop tests' machine: the kernel's own iSCSI target, set up through configfs alone.
# Names and secrets come from /etc/lio (written by lio-machine.ts). A line "LIO: ready" or "LIO: FAILED" ends it.
export PATH=/bin
. /etc/lio

say() { echo "LIO: $*" >/dev/console; }

end() {
  sync
  reboot -f
}

give_up() {
  say "FAILED: $*"
  end
}

# put VALUE FILE : a setting that must be taken. Trap: LIO keeps a line's end as part of a CHAP name or secret.
put() { printf %s "$1" 2>/dev/null >"$2" || give_up "$2 does not take \"$1\""; }

load_modules() {
  while read -r module; do
    insmod "/lib/modules/$module.ko" 2>/tmp/insmod || say "module $module did not load: $(cat /tmp/insmod)"
  done </lib/modules/order
}

set_address() {
  ip link set lo up
  ip link set eth0 up
  ip addr add "$address/24" dev eth0 || give_up "could not set the address $address"
}

# backing FOLDER CONTROL SERIAL : one backstore, with UNMAP, plain and inside WRITE SAME.
backing() {
  mkdir -p "$core/$1" || give_up "the kernel has no backstore $1"
  put "$2" "$core/$1/control"
  put 1 "$core/$1/enable"
  put "$3" "$core/$1/wwn/vpd_unit_serial"
  put 1 "$core/$1/attrib/emulate_tpu"
  put 1 "$core/$1/attrib/emulate_tpws"
}

# target NAME BACKING... : a target portal group with the backstores as LUN 0, 1, ...
target() {
  group=$target/iscsi/$1/tpgt_1
  shift
  lun=0
  for folder in "$@"; do
    mkdir -p "$group/lun/lun_$lun" && ln -s "$core/$folder" "$group/lun/lun_$lun/backing" || give_up "could not make LUN $lun of $group"
    lun=$((lun + 1))
  done
  mkdir "$group/np/0.0.0.0:3260" || give_up "could not listen on port 3260"
}

# open_to_all TIME2WAIT : any initiator, no authentication.
open_to_all() {
  put 0 "$group/attrib/authentication"
  put 1 "$group/attrib/generate_node_acls"
  put 1 "$group/attrib/cache_dynamic_acls"
  put 0 "$group/attrib/demo_mode_write_protect"
  # Else a session that is reinstated waits for nothing but this many seconds.
  put 0 "$group/param/DefaultTime2Wait"
}

# initiator NAME USER SECRET : the initiator may log in with CHAP and sees LUN 0, and LUN 1 write-protected.
initiator() {
  acl=$group/acls/$1
  mkdir -p "$acl/lun_0" "$acl/lun_1"
  ln -s "$group/lun/lun_0" "$acl/lun_0/lun" && ln -s "$group/lun/lun_1" "$acl/lun_1/lun" || give_up "could not map LUNs to $1"
  put 1 "$acl/lun_1/write_protect"
  put "$2" "$acl/auth/userid"
  put "$3" "$acl/auth/password"
}

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /run
# Trap: without this folder every PERSISTENT RESERVE OUT that registers ends with LOGICAL UNIT COMMUNICATION FAILURE.
mkdir -p /var/target/pr
load_modules
set_address
mount -t configfs configfs /sys/kernel/config || give_up "could not mount configfs"
target=/sys/kernel/config/target
core=$target/core

backing iblock_0/small udev_path=/dev/vda "$small_serial"
backing iblock_0/large udev_path=/dev/vdb "$large_serial"
# Buffered: the one with a volatile write cache.
backing fileio_0/cached "fd_dev_name=/run/cached,fd_dev_size=$cached_bytes,fd_buffered_io=1" "$cached_serial"

target "$open_target" iblock_0/small iblock_0/large fileio_0/cached
open_to_all
put 1 "$group/enable"

# The other extreme of each key: a permission for every burst, and small bursts.
target "$bursts_target" iblock_0/small
open_to_all
put Yes "$group/param/InitialR2T"
put No "$group/param/ImmediateData"
put 16384 "$group/param/MaxBurstLength"
put 4096 "$group/param/FirstBurstLength"
# Trap: what LIO declares as MaxRecvDataSegmentLength is the smaller of the initiator's and this one, whatever its own says.
put 4096 "$group/param/MaxXmitDataSegmentLength"
put 4 "$group/param/MaxOutstandingR2T"
put 1 "$group/enable"

target "$chap_target" iblock_0/small iblock_0/large
put 1 "$group/attrib/authentication"
put 0 "$group/attrib/generate_node_acls"
initiator "$one_way_initiator" "$user" "$secret"
initiator "$mutual_initiator" "$user" "$secret"
put "$target_user" "$acl/auth/userid_mutual"
put "$target_secret" "$acl/auth/password_mutual"
put 1 "$group/enable"

read -r uptime rest </proc/uptime
say "ready after $uptime s"
# However the tests end, the machine does not stay.
sleep "$lifetime_seconds"
say "nobody ended the machine"
end
