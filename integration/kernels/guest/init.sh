#!/bin/sh
# The first process of a kernel that runs tests. The root is the machine's own
# files, read only; beside this script is job.sh, which says what to run.
export PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME=/root
work=${0%/*}
mount -t proc proc /proc
echo 1 >/proc/sys/kernel/printk # the console is for the tests
mount -t sysfs sys /sys
mount -t tmpfs -o mode=755 dev /dev
while read -r name major minor; do
	mknod -m 666 "/dev/$name" c "$major" "$minor"
done <<-END
	null 1 3
	zero 1 5
	full 1 7
	random 1 8
	urandom 1 9
	tty 5 0
	fuse 10 229
END
ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin
ln -s fd/1 /dev/stdout
ln -s fd/2 /dev/stderr
mkdir /dev/shm /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t devpts -o ptmxmode=666 pts /dev/pts
ln -s pts/ptmx /dev/ptmx
mount -t tmpfs -o mode=755 run /run
mkdir /run/lock
# Not in /run, where a test boots a systemd with a /run of its own.
mount -t tmpfs -o mode=755 mnt /mnt
mkdir /mnt/work /mnt/repo
mount --bind "$work" /mnt/work
. /mnt/work/job.sh # sets repo, and defines job
mount --bind "$repo" /mnt/repo
# As much room as a machine has, though no test fills it: half of a guest's memory is so
# little that the product warns.
for dir in /tmp /var/tmp; do mount -t tmpfs -o mode=1777,size=8G tmp $dir; done
mount -t tmpfs -o mode=700 root /root
# mount(8) looks for its helpers in /sbin, where a test puts one.
mkdir /mnt/sbin && mount --bind /usr/sbin /mnt/sbin
mount -t tmpfs -o mode=755 sbin /usr/sbin
ln -s /mnt/sbin/* /usr/sbin
modules=/usr/lib/uml/modules/$(uname -r)/kernel
for module in fuse/fuse autofs/autofs4; do
	grep -qw "${module%/*}" /proc/filesystems || busybox insmod "$modules/fs/$module.ko"
done
if [ ! -e /proc/net/if_inet6 ]; then
	busybox insmod "$modules/lib/crc-ccitt.ko"
	busybox insmod "$modules/net/ipv6/ipv6.ko"
fi
# That of a kernel without autofs is not made: tests look for it.
if grep -qw autofs /proc/filesystems; then
	mknod -m 600 /dev/autofs c 10 235
fi
busybox ip link set lo up
echo "kernels: begin $(uname -r)"
job </dev/null 2>&1
echo "kernels: exit $?"
busybox poweroff -f
