# A worker. Build from the repository's root:
#   docker build -f docker/worker.Dockerfile -t unflatten-worker .
# For a worker without a GPU, a small base will do:
#   docker build -f docker/worker.Dockerfile --build-arg BASE=debian:bookworm-slim -t unflatten-worker .
ARG RUST_VERSION=1.95.0
ARG BASE=nvidia/cuda:12.9.1-runtime-ubuntu24.04

# An older C library than the base's, so that the program runs on either.
FROM rust:${RUST_VERSION}-slim-bookworm AS build
# Cargo features of the worker, separated by commas.
ARG FEATURES=""
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked --package worker --bin unflatten-worker --features "${FEATURES}" \
    && cp target/release/unflatten-worker /usr/local/bin/

# hadolint ignore=DL3006
FROM ${BASE}
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/unflatten --create-home unflatten \
    && install --directory --owner=unflatten /var/lib/unflatten/storage
COPY --from=build /usr/local/bin/unflatten-worker /usr/local/bin/
USER 10001
WORKDIR /var/lib/unflatten
ENV APP_ENV=production \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
VOLUME /var/lib/unflatten/storage
# A worker that is stuck ends by itself and one that is silent loses its job, so there is no health check here.
STOPSIGNAL SIGTERM
ENTRYPOINT ["unflatten-worker"]
