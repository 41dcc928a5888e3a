# In a Debian with teamr, initramfs-tools and dracut: both put the team into the initial RAM file system, and
# refuse a team without a configuration.
set -eu
release=6.1.0-teamr
mkdir -p /etc/teamr "/lib/modules/$release/kernel"
echo CONFIG_RD_GZIP=y >"/boot/config-$release"
echo '{"runner": {"name": "activebackup"}, "ports": {"eth1": {}}}' >/etc/teamr/team0.json
printf '# The root file system.\nteam0\n' >/etc/teamr/initrd
touch "/lib/modules/$release/modules.order" "/lib/modules/$release/modules.builtin"
depmod "$release"

mkinitramfs -o /initramfs-tools.img "$release"
lsinitramfs /initramfs-tools.img >/listing
for file in usr/bin/teamr etc/teamr/team0.json scripts/init-premount/teamr scripts/init-bottom/teamr; do
    grep -qx "$file" /listing
done
dracut --quiet --force --no-kernel --kver "$release" /dracut.img
lsinitrd /dracut.img >/listing
for file in usr/bin/teamr etc/teamr/team0.json pre-trigger/35-teamr-start.sh pre-pivot/85-teamr-stop.sh; do
    grep -q "$file\$" /listing
done

echo team1 >>/etc/teamr/initrd
if mkinitramfs -o /wrong.img "$release" 2>/errors; then
    echo "a team without a configuration is no error"
    exit 1
fi
grep -q 'team1 has no valid configuration' /errors

# Without the list, nothing of teamr.
rm /etc/teamr/initrd
mkinitramfs -o /without.img "$release"
! lsinitramfs /without.img | grep -q teamr/
echo all went well
