#!/bin/sh
# In a container: `hydrophone ARGUMENTS`. The ports are open to whatever the container's network reaches, so
# nobody is let in without a token; the first start makes one, in data/token, for its owner only.
set -eu
case "${1:-}" in
run | demo)
    if [ ! -e data/token ]; then
        umask 077
        hydrophone token create --scope read --name container >data/.token
        mv data/.token data/token
        echo "a token is in data/token; read it by: docker exec CONTAINER cat data/token" >&2
    fi
    ;;
esac
exec hydrophone "$@"
