#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
# dpkg says remove, and later purge. What others say is not looked at.
if [ "${1:-}" = remove ] && grep -q '^[^ ]* [^ ]* fuse\.downloadfs ' /proc/mounts; then
	echo "downloadfs: what is mounted stays mounted; umount MOUNTPOINT or fusermount3 -u MOUNTPOINT ends it" >&2
fi
if [ "${1:-}" = purge ]; then
	# State and cache of the system's mounts. A mount that still runs holds locks there.
	used=
	for file in /var/lib/downloadfs/*/journal.db /var/cache/downloadfs/*/lock; do
		if [ -e "$file" ] && ! flock -n "$file" true; then
			used=$file
		fi
	done
	if [ -n "$used" ]; then
		echo "downloadfs: a mount still uses $used; unmount it, then run: rm -r /var/lib/downloadfs /var/cache/downloadfs" >&2
	else
		rm -rf /var/lib/downloadfs /var/cache/downloadfs
	fi
fi
