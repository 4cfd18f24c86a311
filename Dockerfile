# Signet in a container: one static binary, the CA certificates that its TLS connections trust, and a data folder.
# Build it with `docker build` or `docker compose up --build`. The tests do not build it: they have no container engine.

FROM rust:1.95-alpine AS build
# aws-lc and SQLite are compiled from C. Alpine's target is musl, so the binary is static by default.
RUN apk add --no-cache musl-dev gcc g++ make cmake perl linux-headers ca-certificates
WORKDIR /signet
COPY . .
RUN cargo build --profile dist --locked --bin signet && mkdir -p /root-fs/data && cp target/dist/signet /root-fs/

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chown=65532:65532 /root-fs/ /
USER 65532:65532
# The loopback address of a container cannot be reached from outside it, so listen on all addresses.
ENV SIGNET_DATA_DIR=/data \
    SIGNET_SERVER__LISTEN=0.0.0.0:8000 \
    SIGNET_SERVER__MANAGEMENT=0.0.0.0:8001
VOLUME /data
EXPOSE 8000 8001
# No HEALTHCHECK: it would run inside the image, which has no HTTP client, and `signet check` checks the dependencies,
# not this process. Probe /healthz and /readyz on port 8001 from outside.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/signet"]
