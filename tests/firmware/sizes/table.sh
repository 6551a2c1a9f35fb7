#!/usr/bin/env bash
# Flash and RAM decide on a chip what can be used at all. Builds each candidate of candidates/ for a Cortex-M3 and a
# Cortex-M0, links its operations one by one and all together, and writes what has come in into core/README.md.
#   tests/firmware/sizes/table.sh           measures, and writes the table
#   tests/firmware/sizes/table.sh --check   measures, and fails where the table is off by more than a tenth
# Bytes change with every compiler, so a tenth (or 16 bytes) is no news.
set -euo pipefail
# shellcheck source=../../../.ci/common.sh
. "$(dirname "$0")/../../../.ci/common.sh"
# shellcheck source=../../../.ci/targets.sh
. .ci/targets.sh

sizes=tests/firmware/sizes
readme=core/README.md
scratch=$(mktemp -d)
trap 'finished; rm -rf "$scratch"' EXIT
chips=(thumbv7m-none-eabi thumbv6m-none-eabi)
families=(queue ring cell semaphore lock channel)

# No start, no vectors, no unwinding tables: an operation, what it calls, and its object.
cat > "$scratch/link.x" <<'LD'
SECTIONS {
    .text 0 : { *(.text .text.*) *(.rodata .rodata.*) }
    .data 0x20000000 : { *(.data .data.*) }
    .bss : { *(.bss .bss.* COMMON) }
    /DISCARD/ : { *(.ARM.exidx* .ARM.extab* .eh_frame* .ARM.attributes .comment .debug*) }
}
LD

# measure LIBRARY OPERATION..: flash and RAM of a program of these. What is initialised takes both.
measure() {
    local library=$1 roots=() operation
    shift
    for operation; do roots+=(-u "$operation"); done
    arm-none-eabi-ld --gc-sections -T "$scratch/link.x" -e "$1" "${roots[@]}" "$library" -o "$scratch/elf"
    arm-none-eabi-size "$scratch/elf" | awk 'NR == 2 { print $1 + $2, $2 + $3 }'
}

# After `// Interrupts: ` and such in a candidate's documentation.
title() { sed -n '1s/^\/\/! //p' "$1"; }
interrupts() { sed -n 's/^\/\/! Interrupts: //p' "$1"; }

# In the order in which the candidate has them.
operations() { sed -n 's/^ *extern "C" fn op_\([a-z_]*\).*/\1/p' "$1"; }

heading() {
    case $1 in
        queue) echo "Queue of 8 words, many producers and consumers" ;;
        ring) echo "Ring of 8 words, one producer and one consumer, both ends counted" ;;
        cell) echo "Cell for one waiter" ;;
        semaphore) echo "Fair semaphore, two waiters" ;;
        lock) echo "Read-write lock around a word, two waiters" ;;
        channel) echo "Channel of 8 words, two waiters on each side" ;;
    esac
}

# A family's candidates, ours first, each measured on each chip.
family() {
    local family=$1 ours=$sizes/candidates/$1-aqueduct.rs source name operation chip columns
    columns=$(operations "$ours")
    printf '\n| %s | interrupts | RAM |' "$(heading "$family")"
    for chip in M3 M0; do
        printf ' flash, %s |' "$chip"
        for operation in $columns; do printf ' %s |' "$operation"; done
    done
    printf '\n|---|---|---|'
    for chip in "${chips[@]}"; do
        printf -- '---|'
        for operation in $columns; do printf -- '---|'; done
    done
    printf '\n'
    for source in "$ours" $(find "$sizes/candidates" -name "$family-*.rs" ! -path "$ours" | sort -r); do
        name=$(basename "$source" .rs)
        local ram="" cells="" flash bytes library
        for chip in "${chips[@]}"; do
            library=$firmware_target/$chip/release/examples/lib${name//-/_}.a
            # shellcheck disable=SC2046,SC2086
            read -r flash bytes <<< "$(measure "$library" $(printf 'op_%s ' $columns))"
            if [ -n "$ram" ] && [ "$ram" != "$bytes" ]; then
                say "$name takes $ram bytes of RAM on one chip, $bytes on the other" >&2
                return 1
            fi
            ram=$bytes
            cells+=" **$flash** |"
            for operation in $columns; do
                read -r flash bytes <<< "$(measure "$library" "op_$operation")"
                cells+=" $flash |"
            done
        done
        printf '| %s | %s | %s |%s\n' "$(title "$source")" "$(interrupts "$source")" "$ram" "$cells"
    done
}

table() {
    local lock=tests/firmware/Cargo.lock peer version peers=""
    for peer in critical-section embassy-sync heapless; do
        version=$(awk -v peer="\"$peer\"" '$1 == "name" { on = ($3 == peer) } on && $1 == "version" { print $3 }' "$lock")
        peers+=", $peer ${version//\"/}"
    done
    printf 'Bytes, by `%s/table.sh`: %s, `opt-level = "s"`, fat LTO%s.\n' "$sizes" \
        "$("${chip_rustc[@]}" --version | cut -d' ' -f1,2)" "$peers"
    local each
    for each in "${families[@]}"; do family "$each"; done
}

need_chips "${chips[@]}"
need_command arm-none-eabi-ld binutils-arm-none-eabi
chip_rustc=(rustc)
for word in "${chip_cargo[@]}"; do
    case $word in RUSTC=*) chip_rustc=("${word#RUSTC=}") ;; esac
done
for chip in "${chips[@]}"; do build_for "$chip" -p aqueduct-firmware-sizes --examples; done
table > "$scratch/table"

begin='<!-- sizes: written by tests/firmware/sizes/table.sh -->'
end='<!-- end of sizes -->'
awk -v begin="$begin" -v end="$end" '$0 == end { on = 0 } on { print } $0 == begin { on = 1 }' "$readme" > "$scratch/old"

if [ "${1:-}" = --check ]; then
    # The same words in the same places, and numbers that are nearly the same; the first line is the compiler's.
    if ! paste -d '\n' <(tail -n +2 "$scratch/old") <(tail -n +2 "$scratch/table") | awk '
        NR % 2 { old = $0; next }
        {
            before = split(old, a, /[^0-9]+/); after = split($0, b, /[^0-9]+/)
            x = old; y = $0; gsub(/[0-9]+/, "N", x); gsub(/[0-9]+/, "N", y)
            stale = x != y || before != after
            for (i = 1; i <= after; i++) {
                off = a[i] > b[i] ? a[i] - b[i] : b[i] - a[i]
                if (off > 16 && off * 10 > a[i]) stale = 1
            }
            if (stale) { print "was " old "\nis  " $0; bad = 1 }
        }
        END { exit bad }' >&2; then
        say "the table in $readme is stale: run $sizes/table.sh" >&2
        exit 1
    fi
    say "the table in $readme holds"
else
    grep -qxF "$begin" "$readme" && grep -qxF "$end" "$readme" || {
        say "$readme has no place for the table" >&2
        exit 1
    }
    awk -v begin="$begin" -v end="$end" -v table="$scratch/table" '
        $0 == end { on = 0 }
        !on { print }
        $0 == begin { on = 1; while ((getline line < table) > 0) print line }' "$readme" > "$scratch/readme"
    cat "$scratch/readme" > "$readme"
    cat "$scratch/table"
fi
