# Programs for chips: what compiles them, links them and runs them. Sourced after common.sh.
# shellcheck shell=bash
#
#   need_chips TARGET..           finds a compiler for these, installing what is missing; says which it took
#   need_command COMMAND PACKAGE  installs Debian's PACKAGE where COMMAND is missing
#   build_for TARGETS ARGUMENT..  cargo build --release in tests/firmware, for one or several ("a b") named to need_chips
#   elf_for TARGET NAME           prints where the program NAME was built
#   qemu_run MACHINE ELF          runs it to its exit: lm3s6965evb (Cortex-M3), microbit (Cortex-M0), virt (RISC-V)

firmware=$PWD/tests/firmware
firmware_target=$target/firmware

# Time passes by instructions executed, 2^7 ns each, whatever the machine's load: every run is the same.
ICOUNT=${ICOUNT:-shift=7,align=off,sleep=off}
# An emulator that gets nowhere is ended. No result depends on it: the images have a watchdog of their own.
QEMU_SECONDS=${QEMU_SECONDS:-600}

need_command() {
    command -v "$1" >/dev/null && return
    if ! command -v apt-get >/dev/null; then
        say "$1 is missing here (Debian has it in $2)" >&2
        return 1
    fi
    apt_install "$2"
}

# rustup's targets where they are installed or can be: a rustup that has no way to its server is there, and of no use.
has_rustup_targets() {
    command -v rustup >/dev/null || return
    local installed chip missing=()
    installed=$(rustup target list --installed 2>/dev/null) || return
    for chip; do
        grep -qx "$chip" <<< "$installed" || missing+=("$chip")
    done
    [ "${#missing[@]}" = 0 ] || timeout 120 rustup target add "${missing[@]}" >/dev/null 2>&1
}

need_chips() {
    if [ "${CHIPS:-rustup}" = rustup ] && has_rustup_targets "$@"; then
        chip_cargo=(cargo)
        say "chips: rustup's targets, $(rustc --version)"
        return
    fi
    if ! command -v apt-get >/dev/null; then
        say "no compiler for chips here: rustup target add $*" >&2
        return 1
    fi
    dpkg -s rustc-web cargo-web rust-web-src >/dev/null 2>&1 || apt_install rustc-web cargo-web rust-web-src
    need_command arm-none-eabi-ld binutils-arm-none-eabi
    need_command riscv64-unknown-elf-ld binutils-riscv64-unknown-elf
    local rustc cargo chip flags
    rustc=$(packaged rustc-web /bin/rustc)
    cargo=$(packaged cargo-web /bin/cargo)
    chip_cargo=(env RUSTC_BOOTSTRAP=1 RUSTC="$rustc")
    for chip; do
        case $chip in
            thumb*) flags="-Clinker=arm-none-eabi-ld" ;;
            riscv32*) flags="-Clinker=riscv64-unknown-elf-ld -Clinker-flavor=ld -Clink-arg=-melf32lriscv" ;;
            *)
                say "no linker is known for $chip" >&2
                return 1
                ;;
        esac
        chip=${chip//[-.]/_}
        chip_cargo+=("CARGO_TARGET_${chip^^}_RUSTFLAGS=$flags")
    done
    chip_cargo+=("$cargo" -Zbuild-std="core,alloc" -Zbuild-std-features=compiler-builtins-mem)
    say "chips: rustup has no such targets, so Debian's $("$rustc" --version), core built anew, GNU ld"
}

# In the workspace's directory, whose .cargo/config.toml names the linker script.
build_for() {
    local chip chips=()
    for chip in $1; do
        chips+=(--target "$chip")
    done
    say "building for $1: ${*:2}"
    shift
    (cd "$firmware" && "${chip_cargo[@]}" build --quiet --release --locked "${chips[@]}" \
        --target-dir "$firmware_target" "$@")
}

elf_for() { printf '%s\n' "$firmware_target/$1/release/$2"; }

qemu_run() {
    local machine=$1 elf=$2
    local common=(-display none -monitor none -serial stdio -icount "$ICOUNT" -kernel "$elf")
    case $machine in
        lm3s6965evb | microbit)
            need_command qemu-system-arm qemu-system-arm
            run timeout "$QEMU_SECONDS" qemu-system-arm -M "$machine" \
                -semihosting-config enable=on,target=native "${common[@]}"
            ;;
        virt)
            need_command qemu-system-riscv32 qemu-system-misc
            run timeout "$QEMU_SECONDS" qemu-system-riscv32 -M virt -bios none "${common[@]}"
            ;;
        *)
            say "no machine is known as $machine" >&2
            return 1
            ;;
    esac
}
