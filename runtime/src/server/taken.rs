//! Answers on their way out: on whose account they are, and how long their peers may take over them.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::Response;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::limits;
use super::response::Body;
use crate::memory::Room;

/// An answer that is on a tenant's account until its peer has taken it. It was made already: there is room for it or not.
pub(super) fn on_account(response: Response<Body>, room: Room) -> Response<Body> {
    map(response, |body| room.keep(body))
}

/// An answer whose peer is cut off when it takes too long over it. A peer of HTTP/2 says itself how much it takes: one that
/// takes nothing would hold the answer for ever, and no write ever fails.
pub(super) fn in_time(response: Response<Body>, cut: CancellationToken) -> Response<Body> {
    map(response, |body| {
        let patience =
            limits::WRITE_WITHIN + Duration::from_secs(body.len() as u64 / limits::LEAST_BYTES_PER_SECOND);
        let (held, taken) = oneshot::channel();
        tokio::spawn(async move {
            if timeout(patience, taken).await.is_err() {
                cut.cancel();
            }
        });
        Bytes::from_owner(Open { body, _held: held })
    })
}

/// The body of an answer, until its last copy is gone.
struct Open {
    body: Bytes,
    _held: oneshot::Sender<()>,
}

impl AsRef<[u8]> for Open {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

/// With another body, where it has one. Streams of events are bounded by themselves.
fn map(response: Response<Body>, make: impl FnOnce(Bytes) -> Bytes) -> Response<Body> {
    response.map(|body| match body {
        Either::Left(full) => Either::Left(match full.into_inner() {
            Some(body) => Full::new(make(body)),
            None => Full::default(),
        }),
        stream @ Either::Right(_) => stream,
    })
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use hyper::StatusCode;

    use super::*;
    use crate::memory::{Account, Memory};
    use crate::server::response;

    fn answer(bytes: usize) -> Response<Body> {
        response::bytes(StatusCode::OK, "text/plain", vec![b'x'; bytes])
    }

    #[tokio::test]
    async fn an_answer_is_on_its_account_until_it_is_taken() {
        let account = Account::new("acme".into(), Memory::new(10));
        let answer = on_account(answer(100), account.room());
        assert_eq!(account.bytes(), 100);
        assert!(account.admit().is_err(), "nothing more is taken meanwhile");
        let taken = answer.into_body().collect().await.expect("bytes").to_bytes();
        assert_eq!((taken.len(), account.bytes()), (100, 100));
        drop(taken);
        assert_eq!(account.bytes(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_too_long_is_cut_off_and_one_that_takes_all_is_not() {
        let large = 10 * limits::LEAST_BYTES_PER_SECOND as usize;
        let cut = CancellationToken::new();
        drop(in_time(answer(large), cut.clone()));
        assert!(timeout(limits::WRITE_WITHIN * 10, cut.cancelled()).await.is_err(), "it was taken");
        let begun = tokio::time::Instant::now();
        let _held = in_time(answer(large), cut.clone());
        cut.cancelled().await;
        assert_eq!(begun.elapsed().as_secs(), limits::WRITE_WITHIN.as_secs() + 10);
    }
}
