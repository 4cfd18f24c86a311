//! Traces by OTLP over HTTP, beside the log: the spans that are logged anyway. Knows nothing of what they mean.

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::Layer;

use super::Boxed;

/// The exporter of spans. A thread of its own sends them in batches.
pub(super) struct Traces(SdkTracerProvider);

impl Traces {
    /// To the collector at that address.
    pub(super) fn to(endpoint: &str) -> Result<Self, ExporterBuildError> {
        // The specification of OTLP/HTTP has `v1/traces` added to a base address; set in code, the library leaves it
        // out.
        let exporter = SpanExporter::builder().with_http().with_endpoint(format!("{endpoint}/v1/traces")).build()?;
        let resource = Resource::builder().with_service_name("signet").build();
        Ok(Self(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build()))
    }

    /// The layer that hands spans over.
    pub(super) fn layer(&self) -> Boxed {
        tracing_opentelemetry::layer().with_tracer(self.0.tracer("signet")).boxed()
    }

    /// Sends what still waits.
    pub(super) fn flush(&self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn the_last_spans_are_sent_at_the_end() {
        let collector = TcpListener::bind("127.0.0.1:0").unwrap();
        let traces = Traces::to(&format!("http://{}", collector.local_addr().unwrap())).unwrap();
        let subscriber = tracing_subscriber::registry().with(vec![traces.layer()]);
        tracing::subscriber::with_default(subscriber, || drop(tracing::info_span!("request").entered()));
        let flushing = std::thread::spawn(move || traces.flush());
        let (mut connection, _) = collector.accept().unwrap();
        let mut head = [0; 22];
        connection.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"POST /v1/traces HTTP/1");
        drop((connection, collector));
        flushing.join().unwrap();
    }
}
