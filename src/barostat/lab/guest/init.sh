#!/bin/busybox sh
# The guest's first process: drivers in, swap on, then the witness takes over as process 1.
/bin/busybox mkdir -p /proc /sys /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev

# A probe only asks whether this machine can boot a guest at all.
if /bin/busybox grep -q lab.probe /proc/cmdline; then
    echo "lab: booted"
    /bin/busybox reboot -f
fi

# In the order in which they need each other; what the kernel has built in is not in the image.
while read -r module; do
    /bin/busybox insmod "/modules/$module" || echo "lab: cannot insert $module"
done < /modules/order
/bin/busybox rm -rf /modules

if [ -b /dev/vdb ]; then
    /bin/busybox swapon /dev/vdb || echo "lab: no swap"
fi

# The port appears a moment after its driver, under a number that depends on the devices.
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    port=$(echo /dev/vport*p1)
    [ -c "$port" ] && break
    /bin/busybox sleep 0.1
done

# The root is memory: give busybox back as well once nobody runs it.
/bin/busybox rm -f /bin/busybox
exec /workload "$port" /dev/vda
