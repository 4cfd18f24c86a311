//! The panels of the dashboard, by row.

/// A panel: its title, its unit, and its queries with their legends. A query is the name of a metric and, after `by`, the
/// labels to keep; or PromQL, in which `$S` selects the nodes.
pub(super) struct Panel(pub(super) &'static str, pub(super) Unit, pub(super) &'static [(&'static str, &'static str)]);

/// The unit of the values, as Grafana names it.
pub(super) enum Unit {
    /// As the name of the first metric says.
    OfMetric,
    Is(&'static str),
    /// A single number, red, amber and green by these bounds.
    Stat(&'static str, [f64; 2]),
}

use Unit::{Is, OfMetric, Stat};

pub(super) const ROWS: &[(&str, &[Panel])] = &[
    (
        "Overview",
        &[
            Panel("Nodes", Stat("none", [1.0, 2.0]), &[("count(signet_build_info{$S})", "")]),
            Panel("Nodes not ready", Stat("none", [1.0, 2.0]), &[(NOT_READY, "")]),
            Panel("Requests", Stat("reqps", [1e9, 1e10]), &[("sum(rate(signet_http_requests_total{$S}[$R]))", "")]),
            Panel("Failed requests", Stat("percentunit", [0.001, 0.01]), &[(FAILED_SHARE, "")]),
            Panel("Revocation lag", Stat("s", [2.0, 10.0]), &[("max(signet_revocation_lag_seconds{$S})", "")]),
            Panel("Oldest mail", Stat("s", [60.0, 300.0]), &[("max(signet_mail_oldest_seconds{$S})", "")]),
        ],
    ),
    (
        "Traffic",
        &[
            Panel("Requests by call", OfMetric, &[("signet_http_requests_total by route", "")]),
            Panel("Requests by status", OfMetric, &[("signet_http_requests_total by status", "")]),
            Panel("Errors by call", Is("reqps"), &[(ERRORS, "{{route}} {{status}}")]),
            Panel("Duration of requests", OfMetric, &[("signet_http_request_duration_seconds", "")]),
            Panel("Duration by call, p99", Is("s"), &[(SLOWEST, "{{route}}")]),
            Panel("Verification cache", OfMetric, &[("signet_verify_cache_lookups_total by result", "")]),
            Panel("API key cache", OfMetric, &[("signet_api_key_cache_lookups_total by result", "")]),
        ],
    ),
    (
        "Sign-in",
        &[
            Panel("Sign-ins by method and outcome", OfMetric, &[("signet_sign_ins_total by method, outcome", "")]),
            Panel("Requests refused by a limit", OfMetric, &[("signet_rate_limited_total by limit", "")]),
            Panel(
                "Reused refresh tokens, limits not applied",
                OfMetric,
                &[
                    ("signet_refresh_tokens_reused_total", "reused, {{instance}}"),
                    ("signet_rate_limits_skipped_total", "not applied, {{instance}}"),
                ],
            ),
            Panel(
                "Password hashes in the queue",
                OfMetric,
                &[
                    ("signet_hash_queue_waiting", "waiting, {{instance}}"),
                    ("signet_hash_queue_running", "running, {{instance}}"),
                    ("signet_hash_queue_held", "held, {{instance}}"),
                ],
            ),
            Panel("Time in the hash queue", OfMetric, &[("signet_hash_wait_seconds", "")]),
            Panel("Hashes not run", OfMetric, &[("signet_hashes_shed_total by reason", "")]),
            Panel(
                "Hashes, and processors they use",
                Is("none"),
                &[
                    ("signet_hashes_total", "per second"),
                    ("signet_hash_priority_raised_total", "of these at raised priority"),
                    ("signet_hash_work_seconds_total", "processors"),
                ],
            ),
        ],
    ),
    (
        "Stores",
        &[
            Panel("Conditions of readiness", Is("none"), &[("min by (condition) (signet_ready{$S})", "{{condition}}")]),
            Panel("Failed operations", OfMetric, &[("signet_store_errors_total by store, operation, kind", "")]),
            Panel("Duration of operations", OfMetric, &[("signet_store_duration_seconds by store", "")]),
            Panel("Slowest operations, p99", Is("s"), &[(SLOWEST_OPERATIONS, "{{store}} {{operation}}")]),
        ],
    ),
    (
        "Revocation and keys",
        &[
            Panel("Revocation lag", OfMetric, &[("signet_revocation_lag_seconds", "")]),
            Panel("Revocations in memory", OfMetric, &[("signet_revocations", "")]),
            Panel(
                "Followers and frames of the published feed",
                Is("none"),
                &[
                    ("signet_revocation_feed_waiting", "followers, {{instance}}"),
                    ("signet_revocation_feed_frames_total", "frames per second, {{instance}}"),
                ],
            ),
            Panel(
                "Entries of the published feed",
                OfMetric,
                &[
                    ("signet_revocation_feed_history", "history, {{instance}}"),
                    ("signet_revocation_feed_snapshot_entries", "snapshot, {{instance}}"),
                ],
            ),
            Panel("Size of the published snapshot", OfMetric, &[("signet_revocation_feed_snapshot_bytes", "")]),
            Panel(
                "Age of the signing key",
                OfMetric,
                &[
                    ("signet_signing_key_age_seconds", ""),
                    ("max(signet_signing_key_max_age_seconds{$S})", "keys.rotate_every"),
                ],
            ),
            Panel(
                "TLS certificate expires in",
                Is("s"),
                &[("signet_tls_certificate_expiry_timestamp_seconds{$S} - time()", "{{instance}}")],
            ),
        ],
    ),
    (
        "Mail and security events",
        &[
            Panel("Mails in the queue", OfMetric, &[("signet_mail_queue", "")]),
            Panel("Wait of the oldest mail", OfMetric, &[("signet_mail_oldest_seconds", "")]),
            Panel(
                "Mails by outcome",
                OfMetric,
                &[("signet_mails_total by end", ""), ("signet_mail_failed_tries_total", "failed tries, {{instance}}")],
            ),
            Panel("Lost security events", OfMetric, &[("signet_audit_events_lost_total", "")]),
            Panel(
                "Webhook of security events",
                OfMetric,
                &[
                    ("signet_audit_webhook_events_total by end", ""),
                    ("signet_audit_webhook_failed_tries_total", "failed tries, {{instance}}"),
                ],
            ),
        ],
    ),
    (
        "Connections",
        &[
            Panel("Open connections", OfMetric, &[("signet_open_connections", "")]),
            Panel(
                "New and refused connections",
                OfMetric,
                &[
                    ("signet_connections_total", "new, {{instance}}"),
                    ("signet_connections_refused_total", "refused, {{instance}}"),
                ],
            ),
            Panel(
                "Connections cut off",
                OfMetric,
                &[
                    ("signet_connections_cut_off_total by reason", ""),
                    ("signet_http2_streams_timed_out_total", "stream timed out, {{instance}}"),
                ],
            ),
            Panel("Bytes buffered for clients", OfMetric, &[("signet_buffered_bytes by kind", "")]),
            Panel("Time that one task kept a worker", OfMetric, &[("signet_worker_stall_seconds", "")]),
        ],
    ),
    (
        "Process",
        &[
            Panel("Processors in use", Is("none"), &[("process_cpu_seconds_total", "")]),
            Panel(
                "Memory",
                OfMetric,
                &[
                    ("process_resident_memory_bytes", "resident, {{instance}}"),
                    ("process_virtual_memory_bytes", "virtual, {{instance}}"),
                ],
            ),
            Panel(
                "File descriptors",
                OfMetric,
                &[("process_open_fds", "open, {{instance}}"), ("process_max_fds", "limit, {{instance}}")],
            ),
            Panel("Threads", OfMetric, &[("process_threads", "")]),
            Panel("Free space in data_dir", OfMetric, &[("signet_disk_free_bytes", "")]),
            Panel("Lost log lines", OfMetric, &[("signet_log_lines_lost_total", "")]),
            Panel("Uptime", Is("s"), &[("time() - process_start_time_seconds{$S}", "{{instance}}")]),
            Panel("Versions", Is("none"), &[("signet_build_info by version", "")]),
        ],
    ),
];

const NOT_READY: &str = "sum(min by (instance) (signet_ready{$S}) == bool 0)";
const FAILED_SHARE: &str = "(sum(rate(signet_http_requests_total{$S,status=~\"5..\"}[$R])) or vector(0)) \
                            / sum(rate(signet_http_requests_total{$S}[$R]))";
const ERRORS: &str = "sum by (route, status) (rate(signet_http_requests_total{$S,status=~\"[45]..\"}[$R])) > 0";
const SLOWEST: &str = "topk(10, histogram_quantile(0.99, \
                       sum by (le, route) (rate(signet_http_request_duration_seconds_bucket{$S}[$R]))))";
const SLOWEST_OPERATIONS: &str = "topk(10, histogram_quantile(0.99, \
                                  sum by (le, store, operation) (rate(signet_store_duration_seconds_bucket{$S}[$R]))))";
