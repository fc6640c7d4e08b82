//! Decompression of an answer, in which no stage may give more than is allowed.
//!
//! A few kilobytes can unfold to gigabytes, even where a later stage folds them to nothing again. So each stage is capped
//! by itself, and so is the memory that a stream may ask for.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_compression::tokio::bufread::{
    BrotliDecoder, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder,
};
use async_compression::zstd::DParameter;
use bytes::Bytes;
use hyper::header::{CONTENT_ENCODING, HeaderMap};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader, ReadBuf};

use super::body::{BodyError, CountedBody};

/// The largest window that RFC 9659 lets an HTTP answer in zstd ask for: 8 MiB.
const ZSTD_WINDOW_LOG: u32 = 23;
/// How much is decompressed before others get their turn.
const STEP: usize = 16 << 10;

/// A content coding that we undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Gzip,
    Brotli,
    Deflate,
    Zstd,
}

/// The encodings that have to be undone, the last first. None when one of them is unknown: then the body stays as it is.
pub(super) fn encodings(headers: &HeaderMap) -> Option<Vec<Encoding>> {
    let mut found = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        for name in value.to_str().ok()?.split(',') {
            found.push(match name.trim().to_ascii_lowercase().as_str() {
                "" | "identity" => continue,
                "gzip" | "x-gzip" => Encoding::Gzip,
                "br" => Encoding::Brotli,
                "deflate" => Encoding::Deflate,
                "zstd" => Encoding::Zstd,
                _ => return None,
            });
        }
    }
    found.reverse();
    Some(found)
}

type Stage<'a> = Box<dyn AsyncBufRead + Send + Unpin + 'a>;

/// The whole body, decompressed.
pub(super) async fn read(
    body: &mut CountedBody<'_>,
    encodings: &[Encoding],
    limit: u64,
) -> Result<Bytes, BodyError> {
    unfold(body, encodings, limit).await.map_err(|error| match error.downcast::<BodyError>() {
        Ok(error) => error,
        Err(error) => BodyError::Garbled(error.to_string()),
    })
}

async fn unfold(body: &mut CountedBody<'_>, encodings: &[Encoding], limit: u64) -> io::Result<Bytes> {
    let mut stage: Stage<'_> = Box::new(body);
    for encoding in encodings {
        // An empty body is an empty body, whatever it is said to be.
        let Some(first) = stage.fill_buf().await?.first().copied() else {
            return Ok(Bytes::new());
        };
        stage = Box::new(BufReader::with_capacity(
            STEP,
            CappedReader { stage: decoder(*encoding, first, stage)?, left: limit },
        ));
    }
    let mut all = Vec::new();
    loop {
        all.reserve(STEP);
        if stage.read_buf(&mut all).await? == 0 {
            return Ok(all.into());
        }
        tokio::task::coop::consume_budget().await;
    }
}

fn decoder<'a>(
    encoding: Encoding,
    first: u8,
    stage: Stage<'a>,
) -> io::Result<Box<dyn AsyncRead + Send + Unpin + 'a>> {
    Ok(match encoding {
        Encoding::Gzip => {
            let mut decoder = GzipDecoder::new(stage);
            decoder.multiple_members(true);
            Box::new(decoder)
        }
        // Windows of up to a gigabyte are not part of `br`, but the decoder would make one.
        Encoding::Brotli if first & 0x7f == 0x11 => {
            return Err(io::Error::other("brotli with a large window"));
        }
        Encoding::Brotli => Box::new(BrotliDecoder::new(stage)),
        // Some servers leave the zlib header out, against the standard.
        Encoding::Deflate if first & 0x0f == 8 => Box::new(ZlibDecoder::new(stage)),
        Encoding::Deflate => Box::new(DeflateDecoder::new(stage)),
        Encoding::Zstd => {
            let window = [DParameter::window_log_max(ZSTD_WINDOW_LOG)];
            let mut decoder = ZstdDecoder::with_params(stage, &window);
            decoder.multiple_members(true);
            Box::new(decoder)
        }
    })
}

/// A stage that fails instead of giving more than allowed.
struct CappedReader<R> {
    stage: R,
    left: u64,
}

impl<R: AsyncRead + Unpin> AsyncRead for CappedReader<R> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stage).poll_read(cx, buf))?;
        let came = (buf.filled().len() - before) as u64;
        match this.left.checked_sub(came) {
            Some(left) => this.left = left,
            None => return Poll::Ready(Err(io::Error::other(BodyError::TooLarge))),
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&'static str]) -> Option<Vec<Encoding>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_ENCODING, value.parse().unwrap());
        }
        encodings(&headers)
    }

    #[test]
    fn encodings_are_undone_from_the_last_to_the_first() {
        assert_eq!(of(&[]), Some(vec![]));
        assert_eq!(of(&["identity"]), Some(vec![]));
        assert_eq!(of(&["GZIP"]), Some(vec![Encoding::Gzip]));
        assert_eq!(
            of(&["deflate, br", "zstd"]),
            Some(vec![Encoding::Zstd, Encoding::Brotli, Encoding::Deflate])
        );
        assert_eq!(of(&["gzip, compress"]), None);
    }
}
