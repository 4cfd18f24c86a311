# Signet in a container: one static binary, the authorities that its TLS connections trust, and a folder for what it keeps.
# Built by hand or by `docker compose up --build`; the tests have no container engine and do not build it.

FROM rust:1.95-alpine AS build
# C for aws-lc and SQLite, which are compiled in; Alpine's target is musl, so the binary is static as it comes.
RUN apk add --no-cache musl-dev gcc g++ make cmake perl linux-headers ca-certificates
WORKDIR /signet
COPY . .
RUN cargo build --profile dist --locked --bin signet && mkdir -p /root-fs/data && cp target/dist/signet /root-fs/

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chown=65532:65532 /root-fs/ /
USER 65532:65532
# Inside a container loopback is out of everybody's reach.
ENV SIGNET_DATA_DIR=/data \
    SIGNET_SERVER__LISTEN=0.0.0.0:8000 \
    SIGNET_SERVER__MANAGEMENT=0.0.0.0:8001
VOLUME /data
EXPOSE 8000 8001
# No HEALTHCHECK: it would run inside, where there is no client to ask with, and `signet check` tells of the dependencies
# and not of this process. Ask /healthz and /readyz on port 8001 from outside.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/signet"]
