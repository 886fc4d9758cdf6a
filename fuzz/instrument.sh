#!/bin/sh
# RUSTC_WORKSPACE_WRAPPER of `cargo xtask fuzz`: the compiler, with libFuzzer's counters in what is of this
# workspace. They say which inputs reach new code, are LLVM's, and need no other compiler than the program. What
# runs while it is built has none.
case " $* " in
*" build_script_build "* | *" --print"*) exec "$@" ;;
esac
exec "$@" --cfg=fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
