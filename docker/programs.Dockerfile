# The programs of the package (cargo xtask package --container), built on Debian 12 so that they also run on Ubuntu 22.04.
# Build from the repository's root:
#   docker build -f docker/programs.Dockerfile --output target/package/programs .
ARG RUST_VERSION=1.95.0

FROM rust:${RUST_VERSION}-slim-bookworm AS build
ARG RUST_VERSION
# The image's own toolchain, without the components that rust-toolchain.toml adds for development.
ENV RUSTUP_TOOLCHAIN=${RUST_VERSION}
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
# Two commands, as for the images: what is built together has the features of all of it.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked --package api --bin unflatten-api \
    && cargo build --release --locked --package unflatten --bins \
    && install -D --target-directory=/programs \
        target/release/unflatten target/release/unflatten-api target/release/unflatten-worker

FROM scratch
COPY --from=build /programs/ /
