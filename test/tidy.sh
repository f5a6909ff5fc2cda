#!/usr/bin/env bash
# The rules of the source that a program can check, as a test: test/tidy.sh [ROOT]
# Speaks TAP; each rule is one test. ROOT is for test/wall, which shows that the rules can fail.
set -euo pipefail

cd "${1:-$(dirname "${BASH_SOURCE[0]}")/..}"

number=0

# report NAME OFFENCES: passes when there are no offences.
report() {
    number=$((number + 1))
    if [[ -z $2 ]]; then
        echo "ok $number - $1"
    else
        echo "not ok $number - $1"
        printf '# %s:\n#   %s\n' "$1" "${2//$'\n'/$'\n#   '}" >&2
    fi
}

# Files of ours by the ends of their names; folders that a build makes are left out.
files() {
    local suffix expression=()
    for suffix in "$@"; do expression+=(-o -name "*$suffix"); done
    find . \( -path ./build -o -path ./.git -o -path ./results -o -path ./tmp_check \
        -o -path './anomaly--*.sql' -o -name package-lock.json \) -prune -o \
        -type f \( "${expression[@]:1}" \) -print | sed 's|^\./||' | sort
}

shell_files() { files .sh; if [[ -e .ci/run ]]; then echo .ci/run; fi; }
cpp_files() { files .h .cpp; }
all_files() { files .h .cpp .sql .pl .pm .md .map .txt .json Makefile; shell_files; }

# Runs a program over files, if there are any.
over() {
    local list
    list=$("$1")
    shift
    if [[ -n $list ]]; then xargs -d '\n' "$@" <<<"$list" || true; fi
}

# C++ without its comments and the insides of its string literals, as file:line:text.
code() {
    # shellcheck disable=SC2016
    over cpp_files awk '
        FNR == 1 { inside = 0 }
        {
            line = $0
            gsub(/\\./, "", line)
            if (line !~ /^ *#/) gsub(/"[^"]*"/, "\"\"", line)
            if (inside) { if (!sub(/^.*\*\//, "", line)) next; inside = 0 }
            gsub(/\/\*([^*]|\*[^\/])*\*\//, "", line)
            if (sub(/\/\*.*$/, "", line)) inside = 1
            sub(/\/\/.*$/, "", line)
            print FILENAME ":" FNR ":" line
        }'
}

check_formatting() {
    if ! command -v clang-format-14 >/dev/null; then
        echo "# formatting is not checked here: this distribution has no clang-format-14"
        return
    fi
    report "C++ is as clang-format wants it (make format)" \
        "$(over cpp_files clang-format-14 --dry-run -Werror 2>&1 | grep 'error:' || true)"
}

check_sizes() {
    report "files have at most 600 lines" "$(over all_files awk '
        FNR == 601 { print FILENAME }')"
    report "lines have at most 100 columns" "$(all_files | { grep -Ev '\.(sql|md)$' || true; } |
        xargs -d '\n' -r env LC_ALL=C.UTF-8 grep -nE '^.{101,}$' || true)"
    report "no blanks at the ends of lines" "$(over all_files grep -nE '[[:blank:]]+$')"
    report "functions have at most 70 lines" "$(long_functions)"
}

# A function begins where a statement at its indentation begins that opens a brace, and ends with a
# brace alone at the same indentation. What is no function (a namespace, a class) is left out.
long_functions() {
    # shellcheck disable=SC2016
    { cpp_files; shell_files; files .pm .pl; } | xargs -d '\n' -r awk '
        FNR == 1 { delete start; delete open }
        { match($0, /^ */); depth = RLENGTH; rest = substr($0, depth + 1) }
        rest == "" { next }
        depth <= 4 && rest ~ /^(namespace|class|struct|union|enum|typedef|extern "C" \{)/ {
            delete start[depth]
            next
        }
        depth <= 4 && rest ~ /^}/ {
            if (rest == "}" && depth in start && FNR - start[depth] + 1 > 70)
                print FILENAME ":" start[depth] ": " FNR - start[depth] + 1 " lines"
            delete start[depth]
            delete open[depth]
            next
        }
        depth <= 4 && rest ~ /^[A-Za-z_~]/ && !(depth in start) { start[depth] = FNR }
        rest ~ /[{]$/ { for (d in start) open[d] = 1 }
        rest ~ /;$/ { for (d in start) if (!(d in open)) delete start[d] }
    '
}

# includes FOLDER ALLOWED: quoted and angle includes in a folder that no pattern of ALLOWED matches.
includes() {
    if [[ ! -d src/$1 ]]; then return; fi
    { grep -rnE --include='*.h' --include='*.cpp' '^[[:blank:]]*#[[:blank:]]*include' "src/$1" ||
        true; } | { grep -v '^src/pg/pg\.h:' || true; } | { grep -vE "include +($2)" || true; }
}

# Standard headers have no dot and no slash; the compiler already bars the rest of the server's.
check_includes() {
    local std='<[a-z_]+>' os='<(sys/[a-z]+|unistd|poll|pthread|signal|fcntl|errno)\.h>'
    report "src/core includes only itself, std, simdjson, zlib and what maps memory" \
        "$(includes core "$std|\"core/|<simdjson\.h>|<zlib\.h>|<sys/mman\.h>")"
    report "src/kafka includes only itself, core, std, the system and librdkafka" \
        "$(includes kafka "$std|$os|\"(core|kafka)/|<librdkafka/rdkafka\.h>")"
    report "src/bridge includes no PostgreSQL" \
        "$(includes bridge "$std|<malloc\.h>|$os|\"(core|kafka|dispatch|bridge)/")"
    report "src/pg includes only itself, the bridge, its plain data and a few of std" \
        "$(includes pg "\"(pg|bridge)/|\"core/(type|expr|spec)\.h\"|$(pg_std)")"
    report "the server's headers enter in src/pg/pg.h alone" \
        "$(code | grep -E ':[[:blank:]]*#[[:blank:]]*include[[:blank:]]*"postgres\.h"' |
            grep -v '^src/pg/pg\.h:' | grep -v '^test/wall/' || true)"
    report "folders of src/core are layers, in the order of src/README.md" \
        "$(layers core data time decode program group table)"
    report "folders of src/pg are layers, in the order of src/README.md" \
        "$(layers pg server value shared compile stream query evaluate sink scan ddl control \
            table event rule process ingest)"
}

# layers FOLDER SUBFOLDER...: what includes a file of a later sub-folder, and sub-folders not named.
layers() {
    local top=$1 own known
    shift
    known=" $* "
    for own in "src/$top"/*/; do
        own=$(basename "$own")
        if [[ -d src/$top/$own && $known != *" $own "* ]]; then
            echo "src/$top/$own: which layer?"
        fi
    done
    while (($# > 1)); do
        own=$1
        shift
        if [[ ! -d src/$top/$own ]]; then continue; fi
        grep -rnE --include='*.h' --include='*.cpp' \
            "#[[:blank:]]*include \"$top/($(IFS='|' && echo "$*"))/" "src/$top/$own" || true
    done
}

pg_std() {
    echo '<(array|bit|csignal|cstddef|cstdint|cstring|span|string_view|type_traits)>'
}

check_code() {
    local banned='sleep|usleep|nanosleep|pg_usleep|sleep_for|sleep_until|sprintf|vsprintf|strcpy'
    banned+='|strcat|gets|system|popen|alloca|atoi|atol|atof|strtok|setjmp|longjmp|fork|abort'
    # Programs outside of src may wait for a point in time: a generator keeps its rate so.
    report "no banned calls" \
        "$(code | grep -E "(^|[^A-Za-z0-9_])($banned)[[:blank:]]*\(" |
            grep -vE '^(demo|test)/.*sleep_until *\(' || true)"
    report "one catch (...) in src, in src/bridge/guard.h" "$(code | awk -F: '
        /^src\// && /catch *\( *\.\.\. *\)/ {
            if ($1 == "src/bridge/guard.h" && !seen++) next
            print
        }
        END { if (!seen) print "src/bridge/guard.h: there is none" }')"
    report "differences of PostgreSQL versions only in src/pg/pg.h" \
        "$(code | grep -E 'PG_VERSION_NUM|PG_MAJORVERSION' | grep -v '^src/pg/pg\.h:' || true)"
    report "no using namespace at file scope" \
        "$(code | grep -E '^[^:]*:[0-9]*:using namespace ' || true)"
    report "headers are included once" \
        "$(files .h | xargs -d '\n' -r grep -L '^#pragma once$' || true)"
    report "nothing is left to be done later" \
        "$(code_and_scripts | grep -nE '\<(TO''DO|FIX''ME|XX''X)\>' || true)"
}

code_and_scripts() { over all_files grep -HE 'TO''DO|FIX''ME|XX''X'; }

check_scripts_and_sql() {
    local file offences=""
    for file in $(shell_files); do
        bash -n "$file" 2>/dev/null || offences+="$file"$'\n'
    done
    report "shell scripts parse" "$offences"
    offences=""
    for file in $(shell_files); do
        if ! grep -q '^set -euo pipefail$' "$file" && ! grep -q '^# shellcheck shell=bash$' "$file"
        then offences+="$file"$'\n'; fi
    done
    report "shell scripts end at their first error" "$offences"
    offences=""
    for file in sql/*.sql; do
        [[ -e $file ]] || continue
        file=$(basename "$file" .sql)
        [[ -e expected/$file.out ]] || offences+="sql/$file.sql has no expected/$file.out"$'\n'
    done
    report "each test in sql has its expected output" "$offences"
}

check_formatting
check_sizes
check_includes
check_code
check_scripts_and_sql
echo "1..$number"
