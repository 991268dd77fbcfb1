#!/usr/bin/env bash
# Builds ngx_http_tokenkit_module.so for the nginx of this machine.
#
#   build.sh FOLDER
#
# FOLDER gets the module; what the building leaves behind lies under
# FOLDER/build. Wanted beside gcc and make: nginx's headers and configure, as
# the package nginx-dev of Debian and Ubuntu has them, or nginx's own sources
# of the very version that will load the module, in NGINX_SRC. And tokenkit
# itself: what pkg-config knows, or TOKENKIT_INCLUDE and TOKENKIT_LIB (see
# config).
#
# NGINX_CC_OPT and NGINX_LD_OPT are added to the flags of the compiler and the
# linker.
set -euo pipefail

[ $# -eq 1 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }

here=$(cd "$(dirname "$0")" && pwd)
src=${NGINX_SRC:-/usr/share/nginx/src}
mkdir -p "$1"
out=$(cd "$1" && pwd)
build=$out/build

[ -x "$src/configure" ] || {
    echo "$0: $src is no source of nginx: apt-get install nginx-dev, or set NGINX_SRC" >&2
    exit 2
}

# nginx checks when it loads a module that both were configured alike.
flags=(--with-compat)
if [ -f "$src/conf_flags" ]; then
    NGX_CONF_FLAGS=()
    # shellcheck source=/dev/null
    . "$src/conf_flags"
    flags=("${NGX_CONF_FLAGS[@]}")
fi

# configure writes beside itself.
rm -rf "$build"
mkdir "$build"
cp -rL "$src"/. "$build"
cd "$build"
./configure "${flags[@]}" \
    --with-cc-opt="-O2 -g -fPIC -fstack-protector-strong -D_FORTIFY_SOURCE=2 -Wall -Wextra -Werror ${NGINX_CC_OPT:-}" \
    --with-ld-opt="-Wl,-z,relro -Wl,-z,now ${NGINX_LD_OPT:-}" \
    --add-dynamic-module="$here" >configure.log || { cat configure.log >&2; exit 1; }
make --silent -f objs/Makefile modules
cp objs/ngx_http_tokenkit_module.so "$out"
