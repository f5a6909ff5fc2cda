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

# tidy_refuses FOLDER INCLUDE: a tree with one file that has the include fails the tidy check of its
# folder, and the same tree without it passes.
tidy_refuses() {
    local folder=$1 include=$2 tree output result=0
    tree=$(mktemp -d)
    mkdir -p "$tree/src/$folder"
    echo "#include <cstdint>" >"$tree/src/$folder/a.cpp"
    output=$(bash test/tidy.sh "$tree" 2>/dev/null)
    grep -q "^ok .* src/$folder includes" <<<"$output" || result=1
    echo "#include $include" >>"$tree/src/$folder/a.cpp"
    output=$(bash test/tidy.sh "$tree" 2>/dev/null)
    grep -q "^not ok .* src/$folder includes" <<<"$output" || result=1
    rm -rf "$tree"
    if [[ $result -ne 0 ]]; then echo "$output"; fi
    return $result
}

result "anomaly.so exports its entry points and nothing else" only_entry_points
result "anomaly.so exports every function that the SQL script names" all_functions
for file in test/wall/cases/*.cpp; do
    name=$(basename "$file" .cpp)
    result "$name compiles without the violation" compiles "$file"
    result "$name does not compile with it" refused "$file"
done
while read -r folder include; do
    result "tidy refuses $include in src/$folder" tidy_refuses "$folder" "$include"
done <test/wall/includes.txt
echo "1..$number"
