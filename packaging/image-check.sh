#!/usr/bin/env bash
# Builds the image and serves the shop that it ships from it, as the chart would run it: not as root, its
# files read-only, without capabilities. Needs root, buildah, podman, runc and curl
# (Debian: apt-get install buildah podman runc).
#
#   packaging/image-check.sh                    as the Dockerfile says
#   packaging/image-check.sh --program FILE     with a program that is built already, in place of the stage
#                                               that builds it
#   packaging/image-check.sh --debian FOLDER    with Debian 12 in FOLDER in place of the base images, where
#                                               none can be pulled:
#                                               debootstrap --variant=minbase \
#                                                 --include=ca-certificates,libstdc++6,python3-pip bookworm FOLDER
#
# BUILD_ARGUMENTS goes to `buildah build`: a volume with pip's settings, a proxy.
set -euo pipefail
cd "$(dirname "$0")/.."

program= debian=
while [ $# -gt 0 ]; do
    case "$1" in
        --program) program=$(realpath "$2"); shift 2 ;;
        --debian) debian=$(realpath "$2"); shift 2 ;;
        *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" | head -n -1; exit 64 ;;
    esac
done

work=${CARGO_TARGET_DIR:-target}/image-check
rm -rf "$work/context"
mkdir -p "$work/context"
work=$(realpath "$work")
# A store of its own, so that no other image of this machine is met; plain folders work everywhere.
store=(--root "$work/store" --runroot "$work/run" --storage-driver vfs)
build() { buildah "${store[@]}" "$@"; }
engine() { podman "${store[@]}" --runtime runc --cgroup-manager cgroupfs "$@"; }
image=localhost/plugrank:check
name=plugrank-check-$$
trap 'engine rm --force --ignore "$name" >/dev/null; engine volume rm --force "$name" >/dev/null 2>&1 || true' EXIT

dockerfile=$work/Dockerfile
cp Dockerfile "$dockerfile"
if [ -n "$program" ]; then
    # The stage `build` hands out what was built: everything between its FROM and the next stage.
    stage=$work/stage
    mkdir -p "$stage/out/data"
    objcopy --strip-unneeded "$program" "$stage/out/plugrank"
    cargo xtask notices "$stage/out/doc"
    cp LICENSE "$stage/out/doc/"
    sed -i '/^FROM .* AS build$/,/^# `docker build --target symbols/{
        s/^FROM .* AS build$/FROM scratch AS build\nCOPY --from=built . \//p
        d
    }' "$dockerfile"
    sed -i '/^FROM scratch AS symbols/,/plugrank.debug/d' "$dockerfile"
    built=(--build-context "built=$stage")
fi
if [ -n "$debian" ]; then
    container=$(build from scratch)
    build add --quiet "$container" "$debian" / >/dev/null
    build commit --quiet --rm "$container" localhost/debian:12 >/dev/null
    # What is pulled is named with a tag; a stage has none.
    sed -i -E 's/^FROM [a-z0-9.\/-]+:[^ ]+ AS /FROM localhost\/debian:12 AS /' "$dockerfile"
fi

# shellcheck disable=SC2086
build build --isolation chroot --pull=missing --format docker "${built[@]}" ${BUILD_ARGUMENTS:-} \
    --ignorefile .dockerignore --file "$dockerfile" --tag "$image" .
printf 'image: %s MB\n' $(($(build inspect --type image --format '{{.Size}}' "$image" 2>/dev/null || engine image inspect --format '{{.Size}}' "$image") / 1000000))

port=${PORT:-18099}
begun=$SECONDS
# The limits of this shell, which an engine could not raise everywhere; no network but this machine's,
# where the demo listens on 127.0.0.1.
engine run --detach --name "$name" --network host --read-only --cap-drop ALL \
    --security-opt no-new-privileges --ulimit nofile=4096:4096 --ulimit nproc=4096:4096 \
    --volume "$name:/var/lib/plugrank" "$image" demo --port "$port" >/dev/null
until curl --silent --fail --output /dev/null "http://127.0.0.1:$port/readyz"; do
    [ "$(engine inspect --format '{{.State.Running}}' "$name")" = true ] || { engine logs "$name"; exit 1; }
    [ $((SECONDS - begun)) -lt "${READY_SECONDS:-600}" ] || { echo 'not ready in time'; engine logs "$name"; exit 1; }
    sleep 1
done
printf 'ready after %s s\n' $((SECONDS - begun))

answer=$(curl --silent --fail --json '{"user_id": "u1", "k": 5, "budget_ms": 2000}' "http://127.0.0.1:$port/v1/rank")
python3 - "$answer" <<'PY'
import json, sys
answer = json.loads(sys.argv[1])
assert len(answer["items"]) == 5 and answer["model"], answer
print("ranked by", answer["model"], "on rung", answer["rung"])
PY

# What the process may do, as the kernel says.
pid=$(engine inspect --format '{{.State.Pid}}' "$name")
grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs|Seccomp):' "/proc/$pid/status"
[ "$(awk '/^Uid:/ {print $2}' "/proc/$pid/status")" = 65532 ]
[ "$(awk '/^CapEff:/ {print $2}' "/proc/$pid/status")" = 0000000000000000 ]
[ "$(awk '/^CapBnd:/ {print $2}' "/proc/$pid/status")" = 0000000000000000 ]
[ "$(awk '/^NoNewPrivs:/ {print $2}' "/proc/$pid/status")" = 1 ]
awk '$5 == "/" { exit $6 ~ /(^|,)ro(,|$)/ ? 0 : 1 }' "/proc/$pid/mountinfo"
echo 'the root is read-only, no capability is left'

engine stop --time 30 "$name" >/dev/null
code=$(engine inspect --format '{{.State.ExitCode}}' "$name")
[ "$code" = 0 ] || { engine logs "$name"; echo "it ended with $code"; exit 1; }
echo 'stopped cleanly'
