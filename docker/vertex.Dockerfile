# The container of a model on Vertex AI; docs/vertex.md describes the deployment. Build from the repository's root:
#   docker build -f docker/vertex.Dockerfile -t unflatten-vertex .
# To try it without a GPU:
#   docker build -f docker/vertex.Dockerfile --build-arg BUILD_BASE=debian:bookworm-slim \
#     --build-arg BASE=debian:bookworm-slim --build-arg FEATURES=cloud -t try .
ARG RUST_VERSION=1.95.0
# The kernels of the GPU build are compiled with the devel image's nvcc and run on the runtime image's libraries.
ARG BUILD_BASE=nvidia/cuda:12.9.1-devel-ubuntu22.04
ARG BASE=nvidia/cuda:12.9.1-runtime-ubuntu22.04

FROM rust:${RUST_VERSION}-slim-bookworm AS rust

# hadolint ignore=DL3006
FROM ${BUILD_BASE} AS build
# Cargo features of the worker, separated by commas.
ARG FEATURES="cloud,cuda"
# What the kernels are compiled for: 80 is A100, 89 is L4, 90 is H100. A build cannot detect the GPU.
ARG CUDA_COMPUTE_CAP=80
ENV CARGO_HOME=/usr/local/cargo \
    RUSTUP_HOME=/usr/local/rustup \
    PATH=/usr/local/cargo/bin:/usr/local/cuda/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP}
COPY --from=rust /usr/local/cargo /usr/local/cargo
COPY --from=rust /usr/local/rustup /usr/local/rustup
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc g++ libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked --package unflatten --bin unflatten-worker --features "${FEATURES}" \
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
# Without the weights the container must not start and silently use another engine.
ENV APP_ENV=production \
    ENGINES=qwen \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["unflatten-worker", "--vertex"]
