//! One question, asked once for all who want its answer. It runs on control and to its end, whether those
//! who wait for it stay or go.

use tokio::{runtime::Handle, sync::watch};

/// A question that is being asked, or was.
#[derive(Clone, Debug)]
pub(crate) struct Flight<T>(watch::Receiver<Option<T>>);

impl<T: Clone + Send + Sync + 'static> Flight<T> {
    /// Asks.
    pub(crate) fn launch<F>(handle: &Handle, question: F) -> Self
    where
        F: Future<Output = T> + Send + 'static,
    {
        let (tell, told) = watch::channel(None);
        handle.spawn(async move { tell.send_replace(Some(question.await)) });
        Self(told)
    }

    /// The answer, if it is there.
    pub(crate) fn landed(&self) -> Option<T> {
        self.0.borrow().clone()
    }

    /// Whether there is no answer and there will be none.
    pub(crate) fn is_lost(&self) -> bool {
        self.0.has_changed().is_err() && self.0.borrow().is_none()
    }

    /// The answer, once it is there; `None` if there will be none.
    pub(crate) async fn answer(&self) -> Option<T> {
        let mut told = self.0.clone();
        told.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{sleep, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_who_wait_hear_the_same_and_the_question_outlives_them() {
        let flight = Flight::launch(&Handle::current(), async {
            sleep(Duration::from_secs(3)).await;
            7
        });
        assert_eq!((flight.landed(), flight.is_lost()), (None, false));
        assert!(timeout(Duration::from_secs(1), flight.answer()).await.is_err());
        let (one, other) = tokio::join!(flight.answer(), flight.answer());
        assert_eq!((one, other, flight.landed()), (Some(7), Some(7), Some(7)));
        assert!(!flight.is_lost());
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let gone = Flight::launch(&Handle::current(), async { panic!("as planned") });
        assert_eq!(gone.answer().await, None::<u8>);
        assert!(gone.is_lost());
    }
}
