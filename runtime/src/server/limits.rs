//! Every limit of the server in one place. A tenant's own limit on the bodies of its webhooks comes from its quota.

use std::time::Duration;

/// The time from the opened connection, or from the answer before, to the last byte of a request's headers.
pub(super) const HEADERS_WITHIN: Duration = Duration::from_secs(20);
/// A whole TLS handshake.
pub(super) const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// The time from the end of the headers to the last byte of the body.
pub(super) const BODY_WITHIN: Duration = Duration::from_secs(30);
/// A peer that takes no byte of an answer for so long is cut off.
pub(super) const WRITE_WITHIN: Duration = Duration::from_secs(30);
/// Beside that, a peer of HTTP/2 takes at least so much of an answer in a second.
pub(super) const LEAST_BYTES_PER_SECOND: u64 = 32 * 1024;
/// The request line and all headers of an HTTP/1.1 request, and the headers of an HTTP/2 one.
pub(super) const HEADER_BYTES: usize = 64 * 1024;
/// Header lines of a request.
pub(super) const HEADERS: usize = 128;
/// Requests at a time on one HTTP/2 connection.
pub(super) const STREAMS: u32 = 128;
/// How often a quiet HTTP/2 connection is asked whether its peer is still there.
pub(super) const PING_EVERY: Duration = Duration::from_secs(30);
/// How long a drain lets requests and runs finish.
pub(super) const DRAIN_WITHIN: Duration = Duration::from_secs(25);

/// A flow or trigger document sent to the API.
pub(super) const DOCUMENT_BYTES: u64 = 4 * 1024 * 1024;
/// The input of a run that is started by the API.
pub(super) const INPUT_BYTES: u64 = 10 * 1024 * 1024;
/// A component sent to the API.
pub(super) const COMPONENT_BYTES: u64 = 32 * 1024 * 1024;
/// A secret or a connection.
pub(super) const VAULT_BYTES: u64 = 256 * 1024;
/// Any other body of the API.
pub(super) const SMALL_BYTES: u64 = 64 * 1024;
/// The longest `?wait=` of a started run.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// The bytes of a refused body that are read and thrown away, so that its sender sees the answer and no broken connection.
pub(super) const DISCARD_BYTES: u64 = 64 * 1024 * 1024;
/// How long that may take.
pub(super) const DISCARD_WITHIN: Duration = Duration::from_secs(5);

/// Server-sent events that a slow reader may be behind.
pub(super) const EVENTS_BEHIND: usize = 64;
/// How often a quiet event stream shows that it is alive.
pub(super) const EVENTS_ALIVE_EVERY: Duration = Duration::from_secs(15);
