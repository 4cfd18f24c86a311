# Signet in a container: one static binary, the CA certificates that its TLS connections trust, and a data folder. It
# runs as a user without rights, and the root file system can be read-only: everything that it writes is in /data. Build
# it with `docker build -t signet .` or `docker compose up --build`. `./test packages` builds and runs the last stage:
# docs/operate/containers.md.

# The tag says what the digest is. To update both: docker buildx imagetools inspect rust:1.95-alpine
FROM rust:1.95-alpine@sha256:606fd313a0f49743ee2a7bd49a0914bab7deedb12791f3a846a34a4711db7ed2 AS build
# aws-lc and SQLite are compiled from C. Alpine's target is musl, so the binary is static by default.
# hadolint ignore=DL3018
RUN apk add --no-cache musl-dev gcc g++ make cmake perl linux-headers ca-certificates
WORKDIR /signet
COPY . .
RUN cargo build --profile dist --locked --features otlp --bin signet \
    && mkdir -p /root-fs/data /root-fs/etc/ssl/certs \
    && cp target/dist/signet /root-fs/ \
    && cp /etc/ssl/certs/ca-certificates.crt /root-fs/etc/ssl/certs/

FROM scratch
COPY --from=build --chown=65532:65532 /root-fs/ /
USER 65532:65532
# The loopback address of a container cannot be reached from outside it, so listen on all addresses.
ENV SIGNET_DATA_DIR=/data \
    SIGNET_SERVER__LISTEN=0.0.0.0:8000 \
    SIGNET_SERVER__MANAGEMENT=0.0.0.0:8001
VOLUME /data
EXPOSE 8000 8001
# The image has no shell and no HTTP client. The program asks its own /readyz.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["/signet", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/signet"]
