//! What the host does while a guest waits for it: polled beside the guest, not on its stack.
//!
//! To send a request takes several times the stack that a guest takes. On the guest's stack all of that would have to be
//! cleared after each call, for the next guest must not find there what a secret left.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use pin_project_lite::pin_project;
use tokio::sync::oneshot;

/// What a guest waits for. One thing at a time: a guest that waits asks for nothing else.
#[derive(Clone, Default)]
pub(super) struct OffStack(Arc<Mutex<Option<BoxFuture<'static, ()>>>>);

impl OffStack {
    /// Has this done beside the guest. The caller must run in a future that is [`OffStack::around`] the guest, for that
    /// is what polls it. `work` makes the future that does it, which is large: it is made beside the guest as well.
    pub(super) async fn run<F>(&self, work: impl FnOnce() -> F + Send + 'static) -> F::Output
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        *self.work() = Some(Box::pin(async move { drop(tell.send(Box::pin(work()).await)) }));
        told.await.expect("it is dropped with the guest, and tells before that")
    }

    /// Polls the guest, and what it waits for.
    pub(super) fn around<F>(&self, guest: F) -> Around<F> {
        Around { off_stack: self.clone(), guest }
    }

    fn work(&self) -> MutexGuard<'_, Option<BoxFuture<'static, ()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pin_project! {
    /// A guest's call, with what is done for it off its stack.
    pub(super) struct Around<F> {
        off_stack: OffStack,
        #[pin]
        guest: F,
    }
}

impl<F: Future> Future for Around<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        loop {
            if let Some(work) = &mut *this.off_stack.work() {
                match work.as_mut().poll(cx) {
                    // The guest cannot go on before.
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) => {}
                }
            }
            *this.off_stack.work() = None;
            match this.guest.as_mut().poll(cx) {
                Poll::Pending if this.off_stack.work().is_some() => {}
                polled => return polled,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_guest_goes_on_with_what_was_done_for_it() {
        let off_stack = OffStack::default();
        let asks = off_stack.clone();
        let guest = async move {
            let first = asks.run(|| async { 1 }).await;
            let later = asks
                .run(|| async {
                    tokio::task::yield_now().await;
                    2
                })
                .await;
            first + later
        };
        assert_eq!(off_stack.around(guest).await, 3);
    }

    #[test]
    fn a_guest_that_waits_is_not_polled() {
        let off_stack = OffStack::default();
        let (asks, mut polls) = (off_stack.clone(), 0);
        let mut waits = Box::pin(async move { asks.run(std::future::pending::<()>).await });
        let guest = poll_fn(|cx| {
            polls += 1;
            waits.poll_unpin(cx)
        });
        let mut call = Box::pin(off_stack.around(guest));
        assert!((0..3).all(|_| (&mut call).now_or_never().is_none()));
        drop(call);
        assert_eq!(polls, 1);
    }
}
