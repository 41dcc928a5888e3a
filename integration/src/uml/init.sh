# Init of a guest. Set before: FOLDER, STATUS and the function `run_case`. The root is the real file
# system, read-only; writable places are in memory and in the case's folder.

mount -t proc proc /proc
mount -t sysfs sysfs /sys
# Some kernels mount devtmpfs themselves.
mountpoint -q /dev || mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /run
mount -t hostfs -o "$FOLDER" none "$FOLDER"
mkdir -p /run/teamd /run/netns
export TMPDIR="$FOLDER" HOME="$FOLDER"

# Output goes through a pipe: programs behave differently on a terminal such as a serial line.
stty -F /dev/ttyS0 raw -echo
exec 3>/dev/ttyS0

{
    ip link set lo up
    status=0
    run_case || status=$?
    echo "$status" >"$FOLDER/$STATUS"
} 2>&1 </dev/null | cat >&3

sync
poweroff -f
