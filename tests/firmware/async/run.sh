#!/usr/bin/env bash
# Shows that core is enough to write async firmware, with an executor and without: builds both programs for a Cortex-M3 and runs
# them in an emulator to their own verdict.
#   tests/firmware/async/run.sh
set -euo pipefail
# shellcheck source=../../../.ci/common.sh
. "$(dirname "$0")/../../../.ci/common.sh"
# shellcheck source=../../../.ci/targets.sh
. .ci/targets.sh

chip=thumbv7m-none-eabi
need_chips "$chip"
build_for "$chip" -p aqueduct-firmware-async --bins
for program in block_on executor; do
    qemu_run lm3s6965evb "$(elf_for "$chip" "$program")"
done
