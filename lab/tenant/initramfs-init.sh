#!/bin/sh
# The tenant's ramdisk: load the disk's driver, find root=, mount it read-only, hand over to its /sbin/init.
export PATH=/bin
say() { echo "TENANT: $*" >/dev/console; }

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
read -r started rest </proc/uptime
while read -r module; do
  insmod "/lib/modules/$module.ko" 2>/tmp/insmod || say "module $module did not load: $(cat /tmp/insmod)"
done </lib/modules/order
read -r words </proc/cmdline
for word in $words; do
  case $word in root=*) root=${word#root=} ;; esac
done

tries=100
while [ $((tries -= 1)) -ge 0 ]; do
  case $root in
    UUID=* | LABEL=*) device=$(findfs "$root" 2>/dev/null) ;;
    *) [ -b "$root" ] && device=$root ;;
  esac
  [ -n "$device" ] && break
  sleep 0.1
done
if [ -z "$device" ]; then
  say "FAILED: no device has $root; there are $(tail -n +3 /proc/partitions | tr -s ' \n' ' ')"
  sleep 600
fi
# noload: not even a journal may be replayed, so that the lab can compare the disk with the image byte by byte.
mount -t ext4 -o ro,noload "$device" /mnt || mount -o ro "$device" /mnt || say "FAILED: $device does not mount"
[ -x /mnt/sbin/init ] || say "FAILED: $device has no /sbin/init"
read -r uptime rest </proc/uptime
say "root $device $root after $uptime s, init started after $started s"
if [ ! -e /mnt/etc/lab-tenant ]; then
  # Somebody's own image (--image): it is booted as it is, so the marker has to come from here.
  echo "TENANT-MARKER hostname=- key=- root=$device $(echo "$root" | tr A-Z a-z) instance=- image=foreign" >/dev/console
fi
for folder in dev proc sys; do mount --move "/$folder" "/mnt/$folder"; done
exec switch_root /mnt /sbin/init
