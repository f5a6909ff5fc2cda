#!/usr/bin/env bash
# The wall between C++ and PostgreSQL stays: a test that speaks TAP.
# 1. anomaly.so (built before) exports our entry points and nothing else.
# 2. The files in cases/ do not compile with the Makefile's own flags when VIOLATION is defined, for
#    the reason that they name, and do compile when it is not.
# 3. The include rules of test/tidy.sh refuse what a compiler cannot: each line of includes.txt.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
number=0

# result TEXT COMMAND ...: a test that passes when the command succeeds.
result() {
    local text=$1 output
    shift
    number=$((number + 1))
    if output=$("$@" 2>&1); then
        echo "ok $number - $text"
    else
        echo "not ok $number - $text"
        printf '#   %s\n' "${output//$'\n'/$'\n#   '}" >&2
    fi
}

only_entry_points() {
    local symbols
    symbols=$(nm -D --defined-only anomaly.so | awk '{ print $NF }' | sed 's/@.*//')
    grep -qx _PG_init <<<"$symbols" || { echo "_PG_init is not exported" && return 1; }
    grep -qx Pg_magic_func <<<"$symbols" || { echo "Pg_magic_func is not exported" && return 1; }
    ! grep -vE '^(Pg_magic_func|_PG_init|(pg_finfo_)?anomaly_[a-z0-9_]+)$' <<<"$symbols"
}

# What the SQL script names is exported: CREATE EXTENSION would tell as well, but not the reason.
all_functions() {
    local named exported
    named=$(sed -n "s/.*'MODULE_PATHNAME', *'\([a-z0-9_]*\)'.*/\1/p" src/sql/*.sql | sort -u)
    exported=$(nm -D --defined-only anomaly.so | awk '{ print $NF }' | sort -u)
    ! comm -23 <(echo "$named") <(echo "$exported") | grep .
}

# A shared library links without what is missing in it; the server would refuse to load it.
lacks_nothing() { ! nm -D --undefined-only anomaly.so | c++filt | grep 'anomaly::'; }

# compiles FILE [-D...]: with the flags of the side that the file names.
compiles() {
    local file=$1 side command
    shift
    side=$(sed -n 's|^// side: ||p' "$file")
    command=$(make -s PG_CONFIG="${PG_CONFIG:-pg_config}" "print-$side")
    # shellcheck disable=SC2086
    $command "$@" -MF /dev/null -fsyntax-only "$file"
}

refused() {
    local file=$1 reason output
    reason=$(sed -n 's|^// refused: ||p' "$file")
    if output=$(compiles "$file" -DVIOLATION 2>&1); then
        echo "$file compiles" && return 1
    fi
    if ! grep -qF -- "$reason" <<<"$output"; then
        echo "refused for another reason: $output"
        return 1
    fi
}

# tidy_tree yes|no: what test/tidy.sh says of a tree that has a file for each line of includes.txt,
# with that include or with a harmless one.
tidy_tree() {
    local tree number=0 folder include
    tree=$(mktemp -d)
    while read -r folder include; do
        number=$((number + 1))
        mkdir -p "$tree/src/$folder"
        if [[ $1 == no ]]; then include='<cstdint>'; fi
        echo "#include $include" >"$tree/src/$folder/$number.cpp"
    done <test/wall/includes.txt
    bash test/tidy.sh "$tree" 2>&1
    rm -rf "$tree"
}

# All the folders' rules are kept when no file offends: nothing else is the reason below.
tidy_accepts() {
    local said kept
    said=$(tidy_tree no)
    kept=$(grep -cE '^ok [0-9]+ - src/(core|kafka|bridge|pg) includes' <<<"$said" || true)
    [[ $kept -eq 4 ]] || { echo "$said" && return 1; }
}

# tidy_refuses FOLDER INCLUDE: among the offences that were reported in $refusals.
tidy_refuses() {
    grep -qE "^#   src/$1/[0-9]+\.cpp:1:#include $2\$" <<<"$refusals" && return 0
    echo "$refusals"
    return 1
}

result "anomaly.so exports its entry points and nothing else" only_entry_points
result "anomaly.so exports every function that the SQL script names" all_functions
result "anomaly.so lacks nothing of its own" lacks_nothing
for file in test/wall/cases/*.cpp; do
    name=$(basename "$file" .cpp)
    result "$name compiles without the violation" compiles "$file"
    result "$name does not compile with it" refused "$file"
done
result "tidy accepts harmless includes" tidy_accepts
refusals=$(tidy_tree yes)
while read -r folder include; do
    result "tidy refuses $include in src/$folder" tidy_refuses "$folder" "$include"
done <test/wall/includes.txt
echo "1..$number"
