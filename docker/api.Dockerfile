# The page and the API. Build from the repository's root:
#   docker build -f docker/api.Dockerfile -t unflatten-api .
ARG RUST_VERSION=1.95.0
ARG DEBIAN_RELEASE=bookworm

FROM rust:${RUST_VERSION}-slim-${DEBIAN_RELEASE} AS build
ARG RUST_VERSION
# The image's own toolchain, without the components that rust-toolchain.toml adds for development.
ENV RUSTUP_TOOLCHAIN=${RUST_VERSION}
# Cargo features of the API, separated by commas.
ARG FEATURES=""
# The embedded queue's SQLite is compiled from C.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked --package api --bin unflatten-api --features "${FEATURES}" \
    && strip --strip-unneeded -o /usr/local/bin/unflatten-api target/release/unflatten-api

FROM debian:${DEBIAN_RELEASE}-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/unflatten --create-home unflatten \
    && install --directory --owner=unflatten /var/lib/unflatten/storage
# For Redis and buckets over TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /usr/local/bin/unflatten-api /usr/local/bin/
USER 10001
WORKDIR /var/lib/unflatten
ENV APP_ENV=production HOST=0.0.0.0 PORT=8000
EXPOSE 8000
VOLUME /var/lib/unflatten/storage
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["unflatten-api", "--health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["unflatten-api"]
