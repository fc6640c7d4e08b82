//! What the server counts: connections, and requests by kind, status and time. `/metrics` shows it after the figures of the
//! runtime, which are not here.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hyper::StatusCode;

/// What a request was for, as far as figures tell it apart.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Hook,
    Callback,
    Api,
    Other,
}

const KINDS: [(Kind, &str); 4] =
    [(Kind::Hook, "hook"), (Kind::Callback, "callback"), (Kind::Api, "api"), (Kind::Other, "other")];

impl Kind {
    pub(super) fn of(path: &str) -> Self {
        match path {
            _ if path.starts_with("/hooks/") => Self::Hook,
            _ if path.starts_with("/callbacks/") => Self::Callback,
            _ if path.starts_with("/api/") => Self::Api,
            _ => Self::Other,
        }
    }
}

/// Upper bounds of the time buckets, in milliseconds.
const BUCKETS_MS: [u64; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 5_000, 30_000];

/// The counters; cheap to count in, read by `/metrics`.
#[derive(Default)]
pub(super) struct Metrics {
    open: Arc<AtomicI64>,
    kinds: [Figures; KINDS.len()],
}

#[derive(Default)]
struct Figures {
    /// By the first digit of the status, from 1.
    answers: [AtomicU64; 5],
    /// The last one holds what took longer than every bound.
    times: [AtomicU64; BUCKETS_MS.len() + 1],
    total_us: AtomicU64,
}

/// A connection, which is counted as open while this lives.
pub(super) struct OpenConnection(Arc<AtomicI64>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Metrics {
    pub(super) fn connection(&self) -> OpenConnection {
        self.open.fetch_add(1, Relaxed);
        OpenConnection(self.open.clone())
    }

    pub(super) fn answered(&self, kind: Kind, status: StatusCode, took: Duration) {
        let figures = &self.kinds[kind as usize];
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        figures.answers[class].fetch_add(1, Relaxed);
        let bucket = BUCKETS_MS.partition_point(|bound| Duration::from_millis(*bound) < took);
        figures.times[bucket].fetch_add(1, Relaxed);
        figures.total_us.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Prometheus text.
    pub(super) fn text(&self) -> String {
        self.write().expect("writing to a string does not fail")
    }

    fn write(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        write_head(&mut text, "flowcell_http_connections", "gauge", "Open connections.")?;
        writeln!(text, "flowcell_http_connections {}", self.open.load(Relaxed))?;
        write_head(&mut text, "flowcell_http_requests_total", "counter", "Answered requests.")?;
        for (kind, name) in KINDS {
            for (class, count) in self.kinds[kind as usize].answers.iter().enumerate() {
                let (class, count) = (class + 1, count.load(Relaxed));
                writeln!(
                    text,
                    "flowcell_http_requests_total{{kind=\"{name}\",status=\"{class}xx\"}} {count}"
                )?;
            }
        }
        write_head(
            &mut text,
            "flowcell_http_request_seconds",
            "histogram",
            "Time from the headers to the answer.",
        )?;
        for (kind, name) in KINDS {
            self.kinds[kind as usize].write_times(&mut text, name)?;
        }
        Ok(text)
    }
}

/// The lines before the values of a figure.
fn write_head(text: &mut String, name: &str, kind: &str, about: &str) -> std::fmt::Result {
    writeln!(text, "# HELP {name} {about}")?;
    writeln!(text, "# TYPE {name} {kind}")
}

impl Figures {
    fn write_times(&self, text: &mut String, kind: &str) -> std::fmt::Result {
        const NAME: &str = "flowcell_http_request_seconds";
        let mut count = 0;
        for (bucket, times) in self.times.iter().enumerate() {
            count += times.load(Relaxed);
            let bound = match BUCKETS_MS.get(bucket) {
                Some(ms) => (*ms as f64 / 1000.0).to_string(),
                None => "+Inf".to_owned(),
            };
            writeln!(text, "{NAME}_bucket{{kind=\"{kind}\",le=\"{bound}\"}} {count}")?;
        }
        let seconds = self.total_us.load(Relaxed) as f64 / 1e6;
        writeln!(text, "{NAME}_sum{{kind=\"{kind}\"}} {seconds}")?;
        writeln!(text, "{NAME}_count{{kind=\"{kind}\"}} {count}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_kind_status_and_time() {
        let metrics = Metrics::default();
        let open = metrics.connection();
        metrics.answered(Kind::Hook, StatusCode::OK, Duration::from_millis(2));
        metrics.answered(Kind::Hook, StatusCode::NOT_FOUND, Duration::from_secs(60));
        let text = metrics.text();
        for line in [
            "flowcell_http_connections 1",
            "flowcell_http_requests_total{kind=\"hook\",status=\"2xx\"} 1",
            "flowcell_http_requests_total{kind=\"hook\",status=\"4xx\"} 1",
            "flowcell_http_requests_total{kind=\"api\",status=\"2xx\"} 0",
            "flowcell_http_request_seconds_bucket{kind=\"hook\",le=\"0.001\"} 0",
            "flowcell_http_request_seconds_bucket{kind=\"hook\",le=\"0.002\"} 1",
            "flowcell_http_request_seconds_bucket{kind=\"hook\",le=\"+Inf\"} 2",
            "flowcell_http_request_seconds_sum{kind=\"hook\"} 60.002",
            "flowcell_http_request_seconds_count{kind=\"hook\"} 2",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is not in\n{text}");
        }
        drop(open);
        assert!(metrics.text().contains("flowcell_http_connections 0"));
    }
}
