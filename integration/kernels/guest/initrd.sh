# Packs a first file system for a kernel that has virtiofs as a module.
# usage: initrd.sh MODULES OUTPUT
set -eu
modules=$1 output=$2 root=$2.d
mkdir -p "$root/bin" "$root/modules" "$root/machine"
cp "$(command -v busybox)" "$root/bin/"
ldd "$root/bin/busybox" | grep -o '/[^ ]*' | while read -r library; do
	mkdir -p "$root${library%/*}"
	cp "$library" "$root$library"
done
for module in drivers/virtio/virtio_ring drivers/virtio/virtio drivers/virtio/virtio_pci_modern_dev \
	drivers/virtio/virtio_pci_legacy_dev drivers/virtio/virtio_pci fs/fuse/fuse fs/fuse/virtiofs; do
	cp "$modules/kernel/$module.ko" "$root/modules/"
done
cat >"$root/init" <<'END'
#!/bin/busybox sh
for module in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci fuse virtiofs; do
	/bin/busybox insmod /modules/$module.ko
done
/bin/busybox mkdir /proc
/bin/busybox mount -t proc proc /proc
init=$(/bin/busybox sed 's/.* init=\([^ ]*\).*/\1/' /proc/cmdline)
/bin/busybox umount /proc
/bin/busybox mount -t virtiofs -o ro machine /machine
exec /bin/busybox switch_root /machine "$init"
END
chmod 755 "$root/init"
cd "$root"
find . | busybox cpio -o -H newc >"$output"
