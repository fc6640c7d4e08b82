//! Bodies. The one that goes out notices when it is sent. The one that comes in never has more bytes than are allowed.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

use super::account::Account;
use crate::problem::Sent;

/// How far a request has come. An error that ends the request says so.
#[derive(Debug, Default)]
pub(super) struct Progress {
    handed: AtomicBool,
    answered: AtomicBool,
}

impl Progress {
    pub(super) fn answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    pub(super) fn handed(&self) -> bool {
        self.handed.load(Ordering::Relaxed)
    }

    pub(super) fn sent(&self) -> Sent {
        match (self.answered.load(Ordering::Relaxed), self.handed()) {
            (true, _) => Sent::Yes,
            (false, true) => Sent::Unknown,
            (false, false) => Sent::No,
        }
    }
}

/// A request's body. A connection asks for its end or its size when it begins to write the request, and not before: from
/// then on it may have been sent.
#[derive(Debug)]
pub(super) struct OutgoingBody {
    bytes: Bytes,
    progress: Arc<Progress>,
}

impl OutgoingBody {
    pub(super) fn new(bytes: Bytes, progress: Arc<Progress>) -> Self {
        Self { bytes, progress }
    }
}

impl Body for OutgoingBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = std::mem::take(&mut self.get_mut().bytes);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.progress.handed.store(true, Ordering::Relaxed);
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.progress.handed.store(true, Ordering::Relaxed);
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

/// Why an answer's body cannot be had.
#[derive(Debug)]
pub(super) enum BodyError {
    /// It is longer than allowed, compressed or not.
    TooLarge,
    /// The tenant's bytes are used up.
    Quota,
    /// It ended too early.
    Cut(hyper::Error),
    /// It is not compressed in the way that it says.
    Garbled(String),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("the body is over the limit"),
            Self::Quota => f.write_str("the tenant's bytes are used up"),
            Self::Cut(error) => write!(f, "the body ended too early: {error}"),
            Self::Garbled(reason) => write!(f, "the body cannot be decompressed: {reason}"),
        }
    }
}

impl std::error::Error for BodyError {}

/// An answer's body as it comes: counted, and never more than `limit` bytes.
pub(super) struct CountedBody<'a> {
    body: Incoming,
    left: u64,
    account: &'a Account,
    chunk: Bytes,
}

impl<'a> CountedBody<'a> {
    pub(super) fn new(body: Incoming, limit: u64, account: &'a Account) -> Self {
        Self { body, left: limit, account, chunk: Bytes::new() }
    }

    /// The whole body as it is.
    pub(super) async fn read(&mut self) -> Result<Bytes, BodyError> {
        let declared = self.body.size_hint().lower();
        if declared > self.left {
            return Err(BodyError::TooLarge);
        }
        let Some(first) = self.next().await? else {
            return Ok(Bytes::new());
        };
        // Most answers come in one piece, which is not copied.
        let Some(second) = self.next().await? else {
            return Ok(first);
        };
        // What is declared is not there yet: room is made as it comes.
        let room = usize::try_from(declared).unwrap_or(0).clamp(first.len() + second.len(), 256 << 10);
        let mut all = Vec::with_capacity(room.max(first.len() + second.len()));
        all.extend_from_slice(&first);
        all.extend_from_slice(&second);
        while let Some(chunk) = self.next().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(all.into())
    }

    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        loop {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => return Poll::Ready(Ok(None)),
                Some(Err(error)) => return Poll::Ready(Err(BodyError::Cut(error))),
                Some(Ok(frame)) => frame,
            };
            // Trailers are nobody's business.
            if let Ok(chunk) = frame.into_data()
                && !chunk.is_empty()
            {
                return Poll::Ready(self.count(&chunk).map(|()| Some(chunk)));
            }
        }
    }

    fn count(&mut self, chunk: &Bytes) -> Result<(), BodyError> {
        let length = chunk.len() as u64;
        if !self.account.received(length) {
            return Err(BodyError::Quota);
        }
        self.left = self.left.checked_sub(length).ok_or(BodyError::TooLarge)?;
        Ok(())
    }
}

impl AsyncBufRead for CountedBody<'_> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.chunk.is_empty() {
            this.chunk = ready!(this.poll_chunk(cx)).map_err(io::Error::other)?.unwrap_or_default();
        }
        Poll::Ready(Ok(&this.chunk))
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        let _ = self.get_mut().chunk.split_to(amount);
    }
}

impl AsyncRead for CountedBody<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let available = ready!(self.as_mut().poll_fill_buf(cx))?;
        let amount = available.len().min(buf.remaining());
        buf.put_slice(&available[..amount]);
        self.consume(amount);
        Poll::Ready(Ok(()))
    }
}
