# shellcheck shell=bash
# Sourced after server.sh: makes the programs of demo/consumers ready to run, in
# work_dir/consumers. What they need is fetched once by whoever runs this: the modules of Go into
# its own cache, those of Node into ~/.cache/anomaly; Python and Java have packages.

make_consumers() {
    local source=$root_dir/demo/consumers target=$work_dir/consumers
    note "the consumers of demo/consumers (output: build/log/consumers.log)"
    mkdir -p "$target/java"
    cp -r "$source/." "$target"
    quietly "$root_dir/build/log/consumers.log" make_consumers_now "$source" "$target"
    if [[ $EUID -eq 0 ]]; then chown -R "$runner:" "$target"; fi
}

make_consumers_now() {
    local source=$1 target=$2
    (cd "$source/go" && go build -mod=readonly -buildvcs=false -o "$target/go/consumer" .)
    javac -d "$target/java" -cp /usr/share/java/postgresql.jar "$source/Consumer.java"
    if ! (cd / && NODE_PATH=/usr/share/nodejs node -e 'require("pg")' 2>/dev/null); then
        fetch_node_modules "$source/node"
        cp -r "$node_modules" "$target/node/node_modules"
    fi
}

# Where the distribution has no pg for its Node. Into a directory beside it first, so that one that
# is there is always whole.
fetch_node_modules() {
    local key fresh
    key=$(sha256sum "$1/package-lock.json" | cut -c 1-16)
    node_modules=$HOME/.cache/anomaly/node-$key/node_modules
    if [[ -d $node_modules ]]; then return; fi
    mkdir -p "$HOME/.cache/anomaly"
    fresh=$(mktemp -d "$HOME/.cache/anomaly/node-$key.XXXXXX")
    cp "$1/package.json" "$1/package-lock.json" "$fresh"
    (cd "$fresh" && npm ci --ignore-scripts --no-audit --no-fund)
    chmod 755 "$fresh"
    mv "$fresh" "$(dirname "$node_modules")"
}
