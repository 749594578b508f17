#!/bin/busybox sh
# The start image of a guest with a userland: drivers in, its disk for root, then over to that.
/bin/busybox mkdir -p /proc /sys /dev /root
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev

while read -r module; do
    /bin/busybox insmod "/modules/$module" || echo "lab: cannot insert $module"
done < /modules/order

for disk in /sys/block/vd*; do
    if [ "$(/bin/busybox cat "$disk/serial")" = userland ]; then
        /bin/busybox mount -t ext4 -o ro,noatime "/dev/${disk##*/}" /root
    fi
done
for place in /proc /sys /dev; do
    /bin/busybox mount -o move "$place" "/root$place"
done
exec /bin/busybox switch_root /root /usr/local/sbin/lab-begin
