#!/bin/sh
# Takes from a Debian base with Python what a running program of ours never touches: package managers, the
# tools of a Python developer, documentation, the C library's character sets (Python brings its own).
# Run while an image is built (Dockerfile.*). Packages go by dpkg, so that its database, which scanners
# and the bill of materials read, stays true.
set -eu

for package in apt libapt-pkg6.0 gpgv debian-archive-keyring libgnutls30 libp11-kit0 libunistring2 \
    e2fsprogs libext2fs2 libss2 logsave login mount sysvinit-utils perl-base; do
  ! dpkg --status "$package" > /dev/null 2>&1 || dpkg --purge --force-all "$package" 2> /dev/null
done
python -m pip uninstall --quiet --yes --root-user-action ignore setuptools wheel pip

library=$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
for name in ensurepip idlelib lib2to3 pydoc_data test tkinter turtledemo turtle.py __phello__; do
  rm -rf "${library:?}/$name"
done
rm -rf "$library"/config-* "$library"/lib-dynload/_tkinter.* "$library"/lib-dynload/_test* \
  /usr/local/lib/pkgconfig /usr/local/include /usr/local/share \
  /usr/local/bin/2to3* /usr/local/bin/idle* /usr/local/bin/pydoc* /usr/local/bin/python*-config \
  /usr/share/doc /usr/share/man /usr/share/info /usr/share/locale /usr/share/lintian /usr/share/perl5 \
  /usr/lib/*-linux-gnu/gconv /usr/lib/*-linux-gnu/perl-base /var/cache /var/lib/apt /var/log
find "$library" -name __pycache__ -prune -exec rm -rf {} +
mkdir -p /var/cache /var/log
