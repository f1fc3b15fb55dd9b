# A worker. Build from the repository's root:
#   docker build -f docker/worker.Dockerfile -t unflatten-worker .
# For a worker with a GPU:
#   docker build -f docker/worker.Dockerfile --build-arg BASE=nvidia/cuda:13.0.1-runtime-ubuntu24.04 \
#     --build-arg FEATURES=flash-attn-v3 -t unflatten-worker .
ARG RUST_VERSION=1.95.0
ARG BASE=debian:bookworm-slim

# An older C library than the base's, so that the program runs on either.
FROM rust:${RUST_VERSION}-slim-bookworm AS build
ARG RUST_VERSION
# The image's own toolchain, without the components that rust-toolchain.toml adds for development.
ENV RUSTUP_TOOLCHAIN=${RUST_VERSION}
# Cargo features of the worker, separated by commas.
ARG FEATURES=""
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates gcc g++ git libc6-dev python3-pip xz-utils \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    case "${FEATURES}" in \
        # The environment of docs/gpu.md, which fetches NVIDIA's compiler.
        *cuda* | *flash-attn*) cargo="cargo xtask cuda cargo"; out=target/x86_64-unknown-linux-gnu/release ;; \
        *) cargo=cargo; out=target/release ;; \
    esac \
    && ${cargo} build --release --locked --package unflatten --bin unflatten-worker --features "${FEATURES}" \
    && strip --strip-unneeded -o /usr/local/bin/unflatten-worker "${out}/unflatten-worker"

# hadolint ignore=DL3006
FROM ${BASE}
RUN useradd --system --uid 10001 --home-dir /var/lib/unflatten --create-home unflatten \
    && install --directory --owner=unflatten /var/lib/unflatten/storage
# For Redis and buckets over TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /usr/local/bin/unflatten-worker /usr/local/bin/
USER 10001
WORKDIR /var/lib/unflatten
ENV APP_ENV=production \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
VOLUME /var/lib/unflatten/storage
# No health check: a stuck worker exits by itself, and a silent one loses its job to another.
STOPSIGNAL SIGTERM
ENTRYPOINT ["unflatten-worker"]
