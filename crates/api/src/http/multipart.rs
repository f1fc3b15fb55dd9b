//! The parts of a form, of which only a little is in memory at any time.
//!
//! multer reads all that its source has before it parses any of it, and buffers a part's header until it is complete.
//! So it gets one portion at a time, and the next one only after it has parsed the last.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use futures_util::Stream;
use multer::{Field, Multipart};

use super::body::{BodyError, Incoming};
use super::disposition::Disposition;

/// The most bytes before a part's content: preamble, boundary and header together. A file's name has a few hundred.
const MAX_PART_HEADER: usize = 16 << 10;

/// The longest boundary; RFC 2046 allows 70 bytes. Each portion is searched for it, which a very long one would slow
/// down.
const MAX_BOUNDARY: usize = 256;

/// Why a form cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PartError {
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("the form has no boundary: send multipart/form-data with the picture in the field \"image\"")]
    NoBoundary,
    #[error("the boundary of the form is longer than {MAX_BOUNDARY} bytes; use a shorter one")]
    LongBoundary,
    #[error("more than {MAX_PART_HEADER} bytes come before the content of a part of the form; use a shorter file name")]
    LongHeader,
    #[error("the form is broken or was cut off: {0}; send it again")]
    Syntax(String),
}

impl From<multer::Error> for PartError {
    fn from(err: multer::Error) -> Self {
        match err {
            multer::Error::StreamReadFailed(cause) => match cause.downcast::<BodyError>() {
                Ok(fault) => Self::Body(*fault),
                Err(cause) => Self::Syntax(cause.to_string()),
            },
            // Some errors repeat what was sent, which may be long.
            other => Self::Syntax(other.to_string().chars().filter(|c| !c.is_control()).take(200).collect()),
        }
    }
}

/// A form's parts, one after the other.
pub(crate) struct Parts {
    multipart: Multipart<'static>,
    gate: Arc<Gate>,
}

/// A part of a form, whose content is still to be read.
pub(crate) struct Part {
    pub disposition: Disposition,
    field: Field<'static>,
    gate: Arc<Gate>,
}

impl Parts {
    /// # Errors
    /// When the `Content-Type` has no usable boundary.
    pub(crate) fn of(headers: &HeaderMap, incoming: Incoming) -> Result<Self, PartError> {
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let boundary = content_type.and_then(|text| multer::parse_boundary(text).ok()).ok_or(PartError::NoBoundary)?;
        if boundary.len() > MAX_BOUNDARY {
            return Err(PartError::LongBoundary);
        }
        let gate = Arc::new(Gate::default());
        let portions = Portions { incoming, gate: Arc::clone(&gate) };
        Ok(Self { multipart: Multipart::new(portions, boundary), gate })
    }

    /// The next part; `None` at the end. The part before must have been read to its end, and dropped.
    pub(crate) async fn next(&mut self) -> Result<Option<Part>, PartError> {
        let Self { multipart, gate } = self;
        let field = gate.one_by_one(Some(MAX_PART_HEADER), |cx| multipart.poll_next_field(cx)).await?;
        Ok(field.map(|field| {
            let disposition = field.headers().get(header::CONTENT_DISPOSITION);
            let disposition = disposition.map(|value| Disposition::parse(value.as_bytes())).unwrap_or_default();
            Part { disposition, field, gate: Arc::clone(gate) }
        }))
    }
}

impl Part {
    /// The next bytes of the content; `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, PartError> {
        let Self { field, gate, .. } = self;
        gate.one_by_one(None, |cx| Pin::new(&mut *field).poll_next(cx).map(Option::transpose)).await
    }
}

/// Lets one portion pass, then blocks until it is opened again.
#[derive(Default)]
struct Gate {
    open: AtomicBool,
    /// Bytes that have passed.
    passed: AtomicUsize,
}

impl Gate {
    /// Polls multer with one portion at a time, until it returns something or the body has nothing more for now.
    /// With `most` it fails once multer has buffered more bytes than that without returning anything.
    async fn one_by_one<T>(
        &self,
        most: Option<usize>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<multer::Result<T>>,
    ) -> Result<T, PartError> {
        let before = self.passed.load(Ordering::Relaxed);
        poll_fn(|cx| {
            loop {
                self.open.store(true, Ordering::Relaxed);
                if let Poll::Ready(result) = poll(cx) {
                    return Poll::Ready(result.map_err(PartError::from));
                }
                if self.open.load(Ordering::Relaxed) {
                    // Nothing passed: the body wakes us.
                    return Poll::Pending;
                }
                let passed = self.passed.load(Ordering::Relaxed) - before;
                if most.is_some_and(|most| passed > most) {
                    return Poll::Ready(Err(PartError::LongHeader));
                }
            }
        })
        .await
    }
}

/// The body as multer reads it.
struct Portions {
    incoming: Incoming,
    gate: Arc<Gate>,
}

impl Stream for Portions {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.gate.open.load(Ordering::Relaxed) {
            // No wake-up is needed: `one_by_one` polls again at once.
            return Poll::Pending;
        }
        let portion = ready!(self.incoming.poll_portion(cx));
        if let Some(Ok(portion)) = &portion {
            self.gate.open.store(false, Ordering::Relaxed);
            self.gate.passed.fetch_add(portion.len(), Ordering::Relaxed);
        }
        Poll::Ready(portion)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::body::PORTION;
    use crate::http::body::tests::incoming;

    fn parts(chunks: Vec<Vec<u8>>) -> Parts {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, "multipart/form-data; boundary=BB".parse().unwrap());
        Parts::of(&headers, incoming(chunks)).unwrap()
    }

    type NamedContent = (String, Vec<u8>);

    /// All parts.
    async fn read(mut parts: Parts) -> Result<Vec<NamedContent>, PartError> {
        let mut all = Vec::new();
        while let Some(mut part) = parts.next().await? {
            let mut content = Vec::new();
            while let Some(chunk) = part.chunk().await? {
                assert!(chunk.len() <= 2 * PORTION, "{} bytes at once", chunk.len());
                content.extend_from_slice(&chunk);
            }
            all.push((part.disposition.name.take().unwrap_or_default(), content));
        }
        Ok(all)
    }

    fn part(header: &str, content: &[u8]) -> Vec<u8> {
        [b"--BB\r\n", header.as_bytes(), b"\r\n\r\n", content, b"\r\n"].concat()
    }

    /// A form whose content looks like its boundary, cut into chunks of `size` bytes.
    fn form(size: usize) -> (Vec<Vec<u8>>, Vec<NamedContent>) {
        let contents: [&[u8]; 6] =
            [b"", b"\r\n--B", b"--BB", b"\r\n\r\n--BX\r\n-", b"\r", &[b"\r\n--B\r\n".repeat(30), vec![13]].concat()];
        let mut body = b"preamble\r\n--B\r\n".to_vec();
        let mut all = Vec::new();
        for (n, content) in contents.into_iter().enumerate() {
            body.extend(part(&format!("Content-Disposition: form-data; filename=\"a b\"; name=\"f{n}\""), content));
            all.push((format!("f{n}"), content.to_vec()));
        }
        body.extend(b"--BB--\r\nepilogue");
        (body.chunks(size).map(<[u8]>::to_vec).collect(), all)
    }

    #[tokio::test]
    async fn parts_are_the_same_however_they_are_cut() {
        for size in [1, 2, 3, 5, 7, 16, 61, 100, 1_000, 100_000] {
            let (chunks, all) = form(size);
            assert_eq!(read(parts(chunks)).await.unwrap(), all, "chunks of {size}");
        }
    }

    #[tokio::test]
    async fn a_large_part_comes_in_small_pieces() {
        let content: Vec<u8> = (0..20 * PORTION).map(|n| (n * 7) as u8).collect();
        let body = [part("Content-Disposition: form-data; name=image", &content), b"--BB--".to_vec()].concat();
        for size in [content.len() * 2, PORTION, 4_000] {
            let all = read(parts(body.chunks(size).map(<[u8]>::to_vec).collect())).await.unwrap();
            assert!(all == [("image".to_owned(), content.clone())], "chunks of {size}");
        }
    }

    /// What the client must have sent before `chunk` after `chunk` is refused.
    async fn taken_until_refused(start: &[u8], chunk: Vec<u8>) -> usize {
        let count = (50 << 20) / chunk.len();
        let mut parts = parts([vec![start.to_vec()], vec![chunk; count]].concat());
        loop {
            match parts.next().await {
                Ok(Some(mut part)) => while part.chunk().await.unwrap().is_some() {},
                Ok(None) => panic!("the form has an end"),
                Err(fault) => {
                    assert!(matches!(fault, PartError::LongHeader), "{fault}");
                    return parts.gate.passed.load(Ordering::Relaxed);
                }
            }
        }
    }

    #[tokio::test]
    async fn a_header_without_end_is_refused_before_it_takes_memory() {
        let good = part("Content-Disposition: form-data; name=seed", &vec![b'1'; 200_000]);
        for start in [
            b"--BB\r\nContent-Disposition: form-data; name=\"image\"; filename=\"".to_vec(),
            [&good[..], b"--BB\r\nContent-Disposition: form-data; name=\""].concat(),
            [&good[..], b"--BB\r\nA: b\r\n"].concat(),
            // A preamble, and blanks behind a boundary.
            b"no boundary in sight ".to_vec(),
            b"--BB ".to_vec(),
            [&good[..], b"--BB\t"].concat(),
        ] {
            for (filler, size) in [(b"x", 1_000), (b"x", 500_000), (b" ", 10_000)] {
                let is_padding = start.ends_with(b"--BB ") || start.ends_with(b"\t");
                if is_padding && filler == b"x" {
                    continue;
                }
                let taken = taken_until_refused(&start, filler.repeat(size)).await;
                assert!(taken <= start.len() + MAX_PART_HEADER + 2 * PORTION, "{taken} bytes after {}", start.len());
            }
        }
    }

    #[tokio::test]
    async fn a_header_up_to_the_limit_is_read() {
        let header = |size: usize| {
            let start = "Content-Disposition: form-data; name=image; filename=";
            format!("{start}{}", "x".repeat(size - start.len() - "--BB\r\n\r\n\r\n".len()))
        };
        for size in [1, 999, 40_000] {
            let body = [part(&header(MAX_PART_HEADER), b"content"), b"--BB--".to_vec()].concat();
            let chunks = body.chunks(size).map(<[u8]>::to_vec).collect();
            assert_eq!(read(parts(chunks)).await.unwrap()[0].1, b"content", "chunks of {size}");
        }
        let body = part(&header(MAX_PART_HEADER + 2), b"");
        let chunks = body.chunks(1).map(<[u8]>::to_vec).collect();
        assert!(matches!(read(parts(chunks)).await, Err(PartError::LongHeader)));
    }

    #[tokio::test]
    async fn an_epilogue_without_end_is_not_read() {
        let mut parts = parts([vec![b"--BB--".to_vec()], vec![vec![b'x'; 100_000]; 500]].concat());
        assert!(parts.next().await.unwrap().is_none());
        assert!(parts.gate.passed.load(Ordering::Relaxed) <= 2 * PORTION);
    }

    #[tokio::test]
    async fn forms_that_end_early_are_refused() {
        let (chunks, _) = form(100_000);
        let end = chunks[0].len() - "--\r\nepilogue".len();
        for length in 0..end {
            let fault = read(parts(vec![chunks[0][..length].to_vec()])).await.unwrap_err();
            assert!(matches!(fault, PartError::Syntax(_)), "{length}: {fault}");
        }
    }
}
