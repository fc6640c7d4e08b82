//! Work that is finished whether its caller stays or leaves. The caller polls it, which saves a task and two wake-ups on
//! the path of an inbound request. When the caller leaves first, the rest becomes a task of its own.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

/// A future that goes on when it is dropped.
pub(super) struct Carried {
    /// None when it is done.
    work: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Carried {
    pub fn new(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { work: Some(Box::pin(work)) }
    }
}

/// The same for work that has a result.
pub(super) async fn to_the_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let (tell, told) = oneshot::channel();
    Carried::new(async move { drop(tell.send(work.await)) }).await;
    told.await.expect("the work is done, and has told")
}

impl Future for Carried {
    type Output = ();

    /// Ready once it is done, and ever after.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(work) = &mut self.work else { return Poll::Ready(()) };
        let polled = work.as_mut().poll(cx);
        if polled.is_ready() {
            self.work = None;
        }
        polled
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        // Outside a runtime the process is ending; what is under way is continued by its next start.
        if let (Some(work), Ok(runtime)) = (self.work.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_goes_on_when_nobody_waits_any_more() {
        let (go, gone) = oneshot::channel::<()>();
        let (told, done) = oneshot::channel();
        let mut work = Carried::new(async move {
            let _ = gone.await;
            let _ = told.send(7);
        });
        tokio::select! {
            biased;
            () = &mut work => panic!("it waits"),
            () = std::future::ready(()) => {}
        }
        drop(work);
        go.send(()).unwrap();
        assert_eq!(done.await, Ok(7));
    }
}
