#!/bin/sh
# The first process on the userland's disk: places to write, network, swap and programs; then the
# witness takes over as process 1.
export PATH=/usr/local/sbin:/usr/sbin:/usr/bin HOME=/tmp LC_ALL=C
ports=/dev/virtio-ports

mkdir -p "$ports" /dev/shm
for place in /run /tmp /var /dev/shm; do
    mount -t tmpfs -o mode=1777 tmpfs "$place"
done
mkdir -p /var/lib /var/log
ln -s /run /var/run
cd /tmp

ifconfig lo 127.0.0.1 up
if [ -e /sys/class/net/eth0 ]; then # where QEMU's user network has its one guest
    ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
fi

for disk in /sys/block/vd*; do
    case $(cat "$disk/serial") in
        data) data=/dev/${disk##*/} ;;
        swap) swapon "/dev/${disk##*/}" || echo "lab: no swap" ;;
    esac
done

# As udev names them. They appear one by one, some time after their driver; this is the last.
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    for port in /sys/class/virtio-ports/*; do
        name=$(cat "$port/name" 2>&-) && ln -sf "/dev/${port##*/}" "$ports/$name"
    done
    [ -e "$ports/org.barostat.lab.1" ] && break
    sleep 0.1
done

# What ends is started again.
keep() {
    while :; do
        "$@" < /dev/null
        sleep 1
    done &
}
keep lab-shell "$ports/org.barostat.lab.1"
keep qemu-ga -m virtio-serial -p "$ports/org.qemu.guest_agent.0" -t /run
[ -e /usr/local/sbin/barostat-agent ] && keep python3 -S -E -I /usr/local/sbin/barostat-agent run

exec lab-workload "$ports/org.barostat.lab.0" "$data"
