# Build: docker build -t tidegate .
# Run:   TIDEGATE_ADMIN_KEY=$(openssl rand -hex 32) docker run -p 8080:8080 -v tidegate:/data -e TIDEGATE_ADMIN_KEY tidegate
#        It listens on all addresses of its container, and so does not start without a key.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked && cp target/release/tidegate /tidegate

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin tidegate \
    && install -d -o tidegate -g tidegate -m 0700 /data
# Whose certificates are trusted: of the database's server, of an issuer that publishes keys.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /tidegate /usr/local/bin/tidegate
USER tidegate
VOLUME /data
ENV TIDEGATE_DATA_DIR=/data TIDEGATE_LISTEN=0.0.0.0:8080
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s CMD ["tidegate", "health"]
ENTRYPOINT ["tidegate"]
