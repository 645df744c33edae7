#!/bin/sh
# The deploy ramdisk's init (nova-baremetal.md 4.9): export the first disk over iSCSI as LUN 1, call the deploy helper,
# wait for "done", reboot. Everything it says goes to the console.
# A new process costs 10 to 30 ms in an emulated machine: what busybox's shell can do itself, it does.
export PATH=/bin

say() { echo "DEPLOY: $*" >/dev/console; }

# uptime : sets $uptime, seconds since the kernel started.
uptime() { read -r uptime rest </proc/uptime; }

# add KEY VALUE : appends to $body. Plain values stay readable in a packet trace; of others every byte is
# percent-encoded, which needs no table.
add() {
  case $2 in
    *[!A-Za-z0-9.:_-]*) value=$(printf %s "$2" | od -An -v -tx1 | tr -d ' \n' | sed 's/../%&/g') ;;
    *) value=$2 ;;
  esac
  body="$body${body:+&}$1=$value"
}

# call ERROR-TEXT : i, k, a, n and e, in this order and nothing else. Ten tries.
call() {
  body=
  add i "$deployment_id"
  add k "$deployment_key"
  add a "$address"
  add n "$iqn"
  add e "$1"
  for try in 1 2 3 4 5 6 7 8 9 10; do
    wget -q -O /tmp/answer --post-data "$body" "http://$server:10000/" 2>/tmp/wget && return 0
    say "the deploy helper at $server:10000 did not take the call (try $try): $(head -n 1 /tmp/wget)"
    sleep 1
  done
  return 1
}

# Tells the helper what went wrong, if it can be reached, and leaves the machine as it is for whoever looks at it.
give_up() {
  say "FAILED: $*"
  [ -n "$server" ] && call "$*" && say "the deploy helper has been told"
  sleep 600
  poweroff -f
}

load_modules() {
  while read -r module; do
    insmod "/lib/modules/$module.ko" 2>/tmp/insmod || say "module $module did not load: $(cat /tmp/insmod)"
  done </lib/modules/order
}

read_command_line() {
  read -r words </proc/cmdline
  for word in $words; do
    value=${word#*=}
    case $word in
      iscsi_target_iqn=*) iqn=$value ;;
      deployment_id=*) deployment_id=$value ;;
      deployment_key=*) deployment_key=$value ;;
      disk=*) disks=$value ;;
      ip=*) pxe_address=$value ;;
      BOOTIF=*)
        boot_mac=${value#01-}
        boot_mac=${boot_mac//-/:}
        ;;
    esac
  done
}

# The interface that booted, by the MAC that PXELINUX gives in BOOTIF (ipappend 2).
find_interface() {
  tries=50
  while [ $((tries -= 1)) -ge 0 ]; do
    for folder in /sys/class/net/*; do
      read -r mac <"$folder/address"
      [ "$mac" = "$boot_mac" ] && interface=${folder##*/} && return
    done
    sleep 0.1
  done
  give_up "no network interface has the address $boot_mac"
}

# ip=<own>:<boot server>:<gateway>:<mask>, as PXELINUX gives it (ipappend 1).
set_address() {
  IFS=: read -r address server gateway mask rest <<END
$pxe_address
END
  ip link set lo up
  ip link set "$interface" up
  ip addr add "$address/$mask" dev "$interface" || give_up "could not set the address $address/$mask"
  [ -n "$gateway" ] && ip route add default via "$gateway"
  say "network $interface $boot_mac address $address server $server"
}

# The first disk of the list that exists; an older kernel names it cciss/c0d0, sda or hda, a virtual one vda.
find_disk() {
  tries=100
  while [ $((tries -= 1)) -ge 0 ]; do
    for name in ${disks//,/ }; do
      [ -b "/dev/$name" ] && disk=/dev/$name && return
    done
    sleep 0.1
  done
  give_up "none of the disks $disks exists"
}

# The kernel's own iSCSI target (LIO), set up through configfs alone.
export_disk() {
  mount -t configfs configfs /sys/kernel/config || give_up "could not mount configfs"
  target=/sys/kernel/config/target
  backing=$target/core/iblock_0/disk
  group=$target/iscsi/$iqn/tpgt_1
  # LIO keeps persistent reservations there, and refuses to register one when it cannot.
  mkdir -p /var/target/pr
  mkdir -p $backing || give_up "the kernel has no target core"
  echo "udev_path=$disk" >$backing/control && echo 1 >$backing/enable || give_up "could not open $disk for export"
  # UNMAP, plain and inside WRITE SAME: a virtual disk's discarded blocks read as zeros.
  echo 1 >$backing/attrib/emulate_tpu 2>/dev/null
  echo 1 >$backing/attrib/emulate_tpws 2>/dev/null
  mkdir -p "$group/lun/lun_1" && ln -s $backing "$group/lun/lun_1/disk" || give_up "could not make LUN 1"
  mkdir "$group/np/$address:3260" || give_up "could not listen on $address:3260"
  # Any initiator may log in and write, as the original's ramdisk has it: this network is the operator's own.
  echo 0 >"$group/attrib/authentication"
  echo 1 >"$group/attrib/generate_node_acls"
  echo 1 >"$group/attrib/cache_dynamic_acls"
  echo 0 >"$group/attrib/demo_mode_write_protect"
  echo No >"$group/param/InitialR2T"
  echo 262144 >"$group/param/FirstBurstLength"
  echo 1048576 >"$group/param/MaxBurstLength"
  # What LIO declares as its MaxRecvDataSegmentLength is this one.
  echo 262144 >"$group/param/MaxXmitDataSegmentLength"
  echo 1 >"$group/enable" || give_up "the iSCSI target did not start"
  read -r sectors <"/sys/class/block/${disk#/dev/}/size"
  say "disk $disk of $sectors sectors is LUN 1 of $iqn at $address:3260"
}

# Takes one connection after the other on port 10000 until one says "done": a port scan must not reboot the machine.
wait_for_done() {
  while :; do
    word=$(nc -l -p 10000 </dev/null 2>/dev/null | head -n 1 | tr -d '\r')
    [ "$word" = done ] && break
    say "ignored a connection to port 10000 that said \"$word\""
  done
}

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
read -r kernel </proc/sys/kernel/osrelease
uptime
say "init started, kernel $kernel, after $uptime s"
load_modules
read_command_line
[ -n "$pxe_address" ] || give_up "the kernel got no ip= from PXELINUX: is ipappend 3 in the config?"
find_interface
set_address
find_disk
export_disk
# Listening comes before the call: a quick helper must find the port open.
wait_for_done &
listener=$!
call "" || { silent=$server; server=; give_up "the deploy helper at $silent:10000 never took the call"; }
uptime
say "called http://$server:10000/ after $uptime s"
wait "$listener" || give_up "the listener on port 10000 ended before anybody said done"
uptime
say "told done, rebooting after $uptime s"
echo 0 >"$group/enable"
sync
reboot -f
