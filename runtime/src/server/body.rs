//! Reads a request's body within its limits of size and time.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Body;
use hyper::header::CONTENT_LENGTH;
use hyper::http::request::Parts;
use tokio::time::timeout;

use super::{limits, response};
use crate::{Problem, Room};

/// A body that may be read once.
pub(super) struct Payload<B> {
    body: B,
    /// Whether all of it was read.
    over: bool,
}

impl<B> Payload<B>
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    pub(super) fn new(body: B) -> Self {
        Self { over: body.is_end_stream(), body }
    }

    /// The whole body, for which there must be `room`. A declared length above the limit, or for which there is none, is
    /// refused before a byte is read; without one, reading stops where there is no more.
    pub(super) async fn read(&mut self, head: &Parts, limit: u64, room: Room) -> Result<Bytes, Problem> {
        self.read_within(head, limit, room, limits::BODY_WITHIN).await
    }

    async fn read_within(
        &mut self,
        head: &Parts,
        limit: u64,
        room: Room,
        within: Duration,
    ) -> Result<Bytes, Problem> {
        if self.over {
            return Ok(Bytes::new());
        }
        timeout(within, self.fill(head, limit, room))
            .await
            .unwrap_or_else(|_| Err(response::too_slow(within)))
    }

    async fn fill(&mut self, head: &Parts, limit: u64, mut room: Room) -> Result<Bytes, Problem> {
        let declared = declared_length(head);
        if declared.is_some_and(|length| length > limit) {
            return Err(response::too_large(limit));
        }
        let declared = declared.map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
        room.grow(declared)?;
        let mut body = Vec::with_capacity(declared);
        while let Some(frame) = self.body.frame().await {
            let frame = frame
                .map_err(|error| response::bad_request(format!("the body could not be read: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            let length = body.len() + data.len();
            if length as u64 > limit {
                return Err(response::too_large(limit));
            }
            room.grow(length.saturating_sub(declared.max(body.len())))?;
            body.extend_from_slice(&data);
        }
        self.over = true;
        Ok(room.hold(body))
    }

    /// Throws away what was not read, in the background and within limits. A client that sends a large body reads the refusal
    /// only when it has sent all of it; a connection that is closed before looks broken to it.
    pub(super) fn discard(mut self) {
        if self.over {
            return;
        }
        tokio::spawn(timeout(limits::DISCARD_WITHIN, async move {
            let mut left = limits::DISCARD_BYTES;
            while let Some(Ok(frame)) = self.body.frame().await {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                match left.checked_sub(length) {
                    Some(rest) => left = rest,
                    None => return,
                }
            }
        }));
    }
}

fn declared_length(head: &Parts) -> Option<u64> {
    head.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use futures_util::stream;
    use http_body_util::{Full, StreamBody};
    use hyper::Request;
    use hyper::body::Frame;

    use super::*;
    use crate::memory::{Account, Memory};

    fn head(length: Option<&str>) -> Parts {
        let mut request = Request::post("/");
        if let Some(length) = length {
            request = request.header(CONTENT_LENGTH, length);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn memory(limit: u64) -> Arc<Account> {
        Account::new("a".into(), Memory::new(limit))
    }

    fn room() -> Room {
        memory(1 << 20).room()
    }

    #[tokio::test]
    async fn a_body_without_room_is_refused_without_reading() {
        let endless = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
        let tight = memory(14);
        let problem = Payload::new(endless).read(&head(Some("8")), 8, tight.room()).await.unwrap_err();
        assert_eq!((problem.status, tight.bytes()), (429, 0));
    }

    #[tokio::test]
    async fn a_body_without_a_length_is_refused_where_the_room_ends() {
        let chunk = || Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"12345")));
        let endless = StreamBody::new(stream::iter(std::iter::repeat_with(chunk)));
        let problem =
            Payload::new(endless).read(&head(None), 1 << 40, memory(1 << 10).room()).await.unwrap_err();
        assert_eq!(problem.status, 429);
    }

    #[tokio::test]
    async fn a_body_of_exactly_the_limit_is_read() {
        let mut payload = Payload::new(Full::new(Bytes::from_static(b"12345678")));
        assert_eq!(payload.read(&head(Some("8")), 8, room()).await.unwrap(), "12345678");
    }

    #[tokio::test]
    async fn a_length_over_the_limit_is_refused_without_reading() {
        // The body never yields: only a refusal by the header can answer.
        let endless = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
        let problem = Payload::new(endless).read(&head(Some("9")), 8, room()).await.unwrap_err();
        assert_eq!(
            (problem.status, problem.detail.as_deref()),
            (413, Some("the body may have at most 8 bytes"))
        );
    }

    #[tokio::test]
    async fn a_body_without_a_length_is_refused_at_the_limit() {
        let chunk = || Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"12345")));
        let endless = StreamBody::new(stream::iter(std::iter::repeat_with(chunk)));
        assert_eq!(Payload::new(endless).read(&head(None), 8, room()).await.unwrap_err().status, 413);
    }

    #[tokio::test]
    async fn a_body_that_stops_coming_is_a_timeout() {
        let silent = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
        let problem =
            Payload::new(silent).read_within(&head(None), 8, room(), Duration::ZERO).await.unwrap_err();
        assert_eq!(problem.status, 408);
    }
}
