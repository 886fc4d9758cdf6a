# syntax=docker/dockerfile:1
# The image of every role: `docker build -t plugrank .`; with CUDA: `--target cuda -t plugrank:TAG-cuda`.
# x86-64 and arm64 for the first, x86-64 for the second, as ONNX Runtime publishes them.

ARG RUST_VERSION=1.95.0
ARG PYTHON_VERSION=3.12

FROM rust:${RUST_VERSION}-bookworm AS build
WORKDIR /src
COPY . .
# The caches outlive the step and are not part of the image, so the program is copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --profile dist --locked --package plugrank --bin plugrank \
    && install -D --mode=0755 target/dist/plugrank /out/plugrank \
    && install --directory /out/data \
    && cargo run --locked --package xtask -- notices /out/doc \
    && install --mode=0644 LICENSE /out/doc/LICENSE
# Four fifths of the program are symbols: they go into a file of their own that debuggers, perf and
# panics' backtraces find beside it by the link.
RUN objcopy --only-keep-debug /out/plugrank /out/plugrank.debug \
    && objcopy --strip-unneeded --add-gnu-debuglink=/out/plugrank.debug /out/plugrank

# `docker build --target symbols --output symbols .`
FROM scratch AS symbols
COPY --from=build /out/plugrank.debug /

# ONNX Runtime out of its wheel: the release that `ort` in Cargo.toml is built for, as in
# xtask/src/ort_library.rs. Its files are those whose hashes the lock lists.
FROM python:${PYTHON_VERSION}-slim-bookworm AS onnxruntime
COPY xtask/wheels/onnxruntime.lock /
RUN pip install --no-cache-dir --no-compile --no-deps --require-hashes --only-binary :all: \
        --target /wheel --requirement /onnxruntime.lock \
    && install -D --mode=0644 /wheel/onnxruntime/capi/libonnxruntime.so.* /out/libonnxruntime.so \
    && install --mode=0644 --target-directory=/out /wheel/onnxruntime/LICENSE \
        /wheel/onnxruntime/ThirdPartyNotices.txt

# The same with CUDA and cuDNN, from their wheels; the driver (libcuda.so.1) comes from the node. The
# list is that of the wheel's extras "cuda" and "cudnn", pinned.
FROM python:${PYTHON_VERSION}-slim-bookworm AS onnxruntime-cuda
COPY xtask/wheels/onnxruntime-gpu.lock /
RUN pip install --no-cache-dir --no-compile --no-deps --require-hashes --only-binary :all: \
        --target /wheel --requirement /onnxruntime-gpu.lock \
    && install -D --mode=0644 /wheel/onnxruntime/capi/libonnxruntime.so.* /out/libonnxruntime.so \
    && install --mode=0644 --target-directory=/out \
        /wheel/onnxruntime/capi/libonnxruntime_providers_shared.so \
        /wheel/onnxruntime/capi/libonnxruntime_providers_cuda.so \
        /wheel/onnxruntime/LICENSE /wheel/onnxruntime/ThirdPartyNotices.txt \
    && find /wheel/nvidia -name '*.so*' -type f -exec mv --target-directory=/out {} +

# glibc, libgcc, libstdc++, certificates, a user 65532; no shell.
FROM gcr.io/distroless/cc-debian12:nonroot AS base
COPY --from=build /out/plugrank /usr/local/bin/plugrank
# Licences of what the program is built of, and its bill of materials.
COPY --from=build /out/doc /usr/local/share/doc/plugrank
# A new volume mounted here takes over the owner.
COPY --from=build --chown=65532:65532 /out/data /var/lib/plugrank
# What `plugrank demo` serves; its store goes into the same volume as others'.
COPY models/simshop/bundle /usr/local/share/plugrank/simshop/bundle
COPY models/simshop/bundle-idrec /usr/local/share/plugrank/simshop/bundle-idrec
COPY models/simshop/dataset /usr/local/share/plugrank/simshop/dataset
# No setting of Plugrank's own: an environment variable would beat the settings file of whoever
# deploys. The address in particular is theirs; by default only 127.0.0.1 is listened on.
ENV ORT_DYLIB_PATH=/opt/onnxruntime/libonnxruntime.so \
    XDG_STATE_HOME=/var/lib/plugrank
USER 65532:65532
WORKDIR /var/lib/plugrank
EXPOSE 8080
# There is no HEALTHCHECK: nothing in the image could ask. /healthz and /readyz are for whoever runs it.
ENTRYPOINT ["/usr/local/bin/plugrank"]
CMD ["--help"]

FROM base AS cuda
COPY --from=onnxruntime-cuda /out /opt/onnxruntime
ENV LD_LIBRARY_PATH=/opt/onnxruntime \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

# Last, so that it is what a build without --target makes.
FROM base AS cpu
COPY --from=onnxruntime /out /opt/onnxruntime
